#pragma once
// The framing of TensorBoard's files, TFRecord: length, checksum of the length, payload, checksum of the payload.

#include <cstdint>
#include <string>
#include <string_view>

namespace coat {

/// CRC-32C (Castagnoli, polynomial 0x82f63b78 reflected) of `bytes`. Source: RFC 3720, appendix B.4.
std::uint32_t Crc32c(std::string_view bytes);

/// `payload` as one record: 8 bytes of length, 4 of its masked checksum, the payload, 4 of its masked checksum, all
/// little-endian. Masked: rotated right by 15 bits, plus 0xa282ead8.
/// Source: tensorflow/core/lib/io/record_writer.cc.
std::string TfRecord(std::string_view payload);

}  // namespace coat
