#include "tensorboard/record.h"

#include <array>
#include <bit>

namespace coat {

namespace {

/// The checksum's state after a byte, for each value of its low byte.
constexpr std::array<std::uint32_t, 256> MakeTable() {
  std::array<std::uint32_t, 256> table = {};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1u) != 0 ? 0x82f63b78u : 0u);
    table[byte] = state;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = MakeTable();

std::uint32_t MaskedCrc32c(std::string_view bytes) {
  return std::rotr(Crc32c(bytes), 15) + 0xa282ead8u;
}

void AppendLittleEndian(std::string& text, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8 * i)) & 0xff);
}

}  // namespace

std::uint32_t Crc32c(std::string_view bytes) {
  std::uint32_t state = 0xffffffffu;
  for (const char c : bytes) state = (state >> 8) ^ kTable[(state ^ static_cast<unsigned char>(c)) & 0xff];
  return ~state;
}

std::string TfRecord(std::string_view payload) {
  std::string record;
  record.reserve(payload.size() + 16);
  AppendLittleEndian(record, payload.size(), 8);
  AppendLittleEndian(record, MaskedCrc32c(record), 4);
  record += payload;
  AppendLittleEndian(record, MaskedCrc32c(payload), 4);
  return record;
}

}  // namespace coat
