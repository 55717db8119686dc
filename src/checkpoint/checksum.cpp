#include "checkpoint/checksum.h"

#include <zlib.h>

namespace coat {

std::uint32_t Crc32(std::span<const std::byte> bytes, std::uint32_t before) {
  if (bytes.empty()) return before;  // zlib takes a null pointer as a request for the initial value
  return static_cast<std::uint32_t>(crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace coat
