#include "checkpoint/checksum.h"

#include <gtest/gtest.h>

#include <string_view>

namespace coat {
namespace {

std::uint32_t Crc32Of(std::string_view text, std::uint32_t before = 0) {
  return Crc32(std::as_bytes(std::span(text.data(), text.size())), before);
}

TEST(Crc32, HasThePublishedCheckValue) {
  EXPECT_EQ(Crc32Of("123456789"), 0xcbf43926u);  // ITU-T V.42, as catalogued for CRC-32/ISO-HDLC
  EXPECT_EQ(Crc32Of(""), 0u);
}

TEST(Crc32, ContinuesOverPieces) {
  const std::string_view text = "a text in three pieces, one of them empty";
  EXPECT_EQ(Crc32Of(text.substr(7), Crc32Of("", Crc32Of(text.substr(0, 7)))), Crc32Of(text));
}

}  // namespace
}  // namespace coat
