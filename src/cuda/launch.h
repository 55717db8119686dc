#pragma once

#include <cstdint>

namespace coat::cuda {

/// Blocks that `work` units take when each does up to `per_block`.
inline unsigned BlocksFor(std::int64_t work, std::int64_t per_block) {
  return static_cast<unsigned>((work + per_block - 1) / per_block);
}

}  // namespace coat::cuda
