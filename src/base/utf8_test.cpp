#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/noise.h"

namespace coat {
namespace {

/// The UTF-8 of a code point, by arithmetic.
std::string Encoded(std::uint32_t point) {
  const auto tail = [point](int shift) { return static_cast<char>(0x80 | (point >> shift & 0x3f)); };
  if (point < 0x80) return {static_cast<char>(point)};
  if (point < 0x800) return {static_cast<char>(0xc0 | point >> 6), tail(0)};
  if (point < 0x10000) return {static_cast<char>(0xe0 | point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | point >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8, EveryCodePointIsValidAndSurrogatesAreNot) {
  for (std::uint32_t point = 0; point < 0x110000; ++point) {
    const std::string text = Encoded(point);
    const bool surrogate = point >= 0xd800 && point < 0xe000;
    ASSERT_EQ(FindInvalidUtf8(text), surrogate ? 0 : text.size()) << point;
  }
  EXPECT_EQ(FindInvalidUtf8(Encoded(0x110000)), 0u);
}

TEST(Utf8, ThereAreExactlyAsManyValidTextsOfUpToThreeBytesAsCodePoints) {
  int valid = 0;
  for (std::uint32_t bits = 0; bits < 0x1000000; ++bits) {
    const std::string text = {static_cast<char>(bits), static_cast<char>(bits >> 8), static_cast<char>(bits >> 16)};
    const std::size_t end = FindInvalidUtf8(text);
    valid += end == 3 ? 1 : 0;
  }
  const int one = 0x80, two = 0x800 - 0x80, three = 0x10000 - 0x800 - 0x800;
  EXPECT_EQ(valid, one * one * one + 2 * one * two + three);
}

TEST(Utf8, NamesTheByteWhereATextStopsBeingValid) {
  EXPECT_EQ(FindInvalidUtf8("ab\xc3\xa9\xff"), 4u);
  EXPECT_EQ(FindInvalidUtf8("ab\xc3"), 2u);
  EXPECT_EQ(FindInvalidUtf8("\xc0\x80"), 0u);      // overlong
  EXPECT_EQ(FindInvalidUtf8("\xe0\x9f\xbf"), 0u);  // overlong
  EXPECT_EQ(FindInvalidUtf8(""), 0u);
}

TEST(Utf8Pieces, GivesOutWholeCharacters) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
  Utf8Pieces pieces;
  std::string all;
  for (const char byte : text) {
    const std::string piece = pieces.Take({&byte, 1});
    EXPECT_EQ(FindInvalidUtf8(piece), piece.size());
    all += piece;
  }
  EXPECT_EQ(all, text);
  EXPECT_EQ(pieces.Rest(), "");
}

/// All that comes of `bytes` in pieces of `size`, which are whole characters.
std::string Gathered(std::string_view bytes, std::size_t size) {
  Utf8Pieces pieces;
  std::string all;
  for (std::size_t at = 0; at < bytes.size(); at += size) {
    const std::string piece = pieces.Take(bytes.substr(at, size));
    EXPECT_EQ(FindInvalidUtf8(piece), piece.size());
    all += piece;
  }
  return all + pieces.Rest();
}

/// `count` times U+FFFD, then `text`.
std::string Replaced(int count, std::string text) {
  for (int i = 0; i < count; ++i) text.insert(0, "\xef\xbf\xbd");
  return text;
}

// The Unicode Standard, tables 3-8 to 3-11.
TEST(Utf8Pieces, ReplaceWhatIsNoCharacterAsUnicodeRecommends) {
  for (const std::size_t size : {1u, 2u, 3u, 100u}) {
    EXPECT_EQ(Gathered("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", size), Replaced(8, "A"));
    EXPECT_EQ(Gathered("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", size), Replaced(8, "A"));
    EXPECT_EQ(Gathered("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", size), Replaced(5, "A") + Replaced(2, "B"));
    EXPECT_EQ(Gathered("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", size), Replaced(4, "A"));
    EXPECT_EQ(Gathered("a\xf0\x9f\x98", size), "a" + Replaced(1, ""));  // cut short by the end
    EXPECT_EQ(Gathered("\xc3\xa9\xc3", size), "\xc3\xa9" + Replaced(1, ""));
  }
}

TEST(Utf8Pieces, GiveTheSameTextHoweverBytesAreCut) {
  const std::string noise = Noise(100'000);
  const std::string whole = Gathered(noise, noise.size());
  EXPECT_GT(whole.size(), noise.size());
  for (const std::size_t size : {1u, 2u, 3u, 5u, 1000u}) EXPECT_TRUE(Gathered(noise, size) == whole);
  Utf8Pieces pieces;
  EXPECT_EQ(pieces.Take("\xf0\x9f\x98"), "");
  EXPECT_EQ(pieces.Take("a"), Replaced(1, "a"));
  EXPECT_EQ(pieces.Rest(), "");
}

}  // namespace
}  // namespace coat
