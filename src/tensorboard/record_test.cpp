#include "tensorboard/record.h"

#include <gtest/gtest.h>

#include <string>

namespace coat {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32c, HasTheValuesOfItsStandard) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string counting;
  for (int i = 0; i < 32; ++i) counting += static_cast<char>(i);
  EXPECT_EQ(Crc32c(counting), 0x46dd794eu);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

// The bytes that TensorBoard's own record writer makes of these payloads.
TEST(TfRecord, FramesThePayload) {
  EXPECT_EQ(TfRecord(""), std::string("\0\0\0\0\0\0\0\0\x29\x03\x98\x07\xd8\xea\x82\xa2", 16));
  EXPECT_EQ(TfRecord("abc"), std::string("\x03\0\0\0\0\0\0\0\xb0\x99\x49\x0e", 12) + "abc" + "\x6e\x57\xf1\x21");
}

}  // namespace
}  // namespace coat
