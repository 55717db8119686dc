#pragma once
// zstd data for tests.

#include <zstd.h>

#include <string>
#include <string_view>

namespace coat {

/// One zstd frame that holds `text`.
inline std::string Zstd(std::string_view text, int level = 3) {
  std::string bytes(::ZSTD_compressBound(text.size()), '\0');
  bytes.resize(::ZSTD_compress(bytes.data(), bytes.size(), text.data(), text.size(), level));
  return bytes;
}

}  // namespace coat
