#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace coat {

/// Bytes that follow from their number and a seed alone, have no pattern and do not compress.
inline std::string Noise(std::size_t size, std::uint32_t seed = 1) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    seed = seed * 1664525u + 1013904223u;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

}  // namespace coat
