#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace coat {

/// The CRC-32 of gzip and PNG (polynomial 0xedb88320) of `bytes`; of a longer run of bytes when `before` is the
/// checksum of those ahead of them. Finds every error within 32 neighboring bits, a single flipped bit among them.
std::uint32_t Crc32(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace coat
