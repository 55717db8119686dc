#pragma once

#include <cstdint>

namespace coat {

/// The most columns of a head, of a configuration too: tiles of a head must fit into the fast memory of the attention
/// ops.
inline constexpr std::int64_t kMaxHeadSize = 4096;

}  // namespace coat
