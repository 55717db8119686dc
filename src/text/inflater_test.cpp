#include "text/inflater.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/gzip.h"
#include "tests/support/noise.h"

namespace coat {
namespace {

struct Result {
  std::string text;
  int members = 0;
  std::size_t consumed = 0;
  bool is_damaged = false;
};

/// Decompresses in pieces of these sizes until the data are used up or damage is met.
Result InflateAll(Inflater& inflater, std::string_view compressed, std::size_t in_bytes, std::size_t out_bytes) {
  Result result;
  std::vector<std::byte> text(out_bytes);
  const auto bytes = std::as_bytes(std::span(compressed));
  while (result.consumed < bytes.size() && !result.is_damaged) {
    const std::size_t count = std::min(in_bytes, bytes.size() - result.consumed);
    const Inflater::Step step = inflater.Decompress(bytes.subspan(result.consumed, count), text);
    result.consumed += step.consumed;
    result.text.append(reinterpret_cast<const char*>(text.data()), step.produced);
    result.members += step.state == Inflater::State::kEndOfMember ? 1 : 0;
    result.is_damaged = step.state == Inflater::State::kDamaged;
  }
  return result;
}

TEST(Inflater, ReadsMembersInPiecesOfAnySize) {
  const std::string noise = Noise(3000);
  const std::string zeros(100'000, '\0');  // compresses a thousandfold, so that text outlasts its data
  const std::string compressed = Gzip(noise) + Gzip("") + Gzip(zeros) + Gzip("end");
  for (const std::size_t in_bytes : {1u, 7u, 1'000'000u}) {
    for (const std::size_t out_bytes : {1u, 13u, 1'000'000u}) {
      Inflater inflater;
      const Result result = InflateAll(inflater, compressed, in_bytes, out_bytes);
      EXPECT_TRUE(result.text == noise + zeros + "end") << in_bytes << " " << out_bytes;
      EXPECT_EQ(result.members, 4);
      EXPECT_EQ(result.consumed, compressed.size());
    }
  }
}

TEST(Inflater, StopsAtTheEndOfAMember) {
  const std::string first = Gzip("first");
  const std::string compressed = first + "trailing";
  Inflater inflater;
  std::vector<std::byte> text(100);
  const Inflater::Step step = inflater.Decompress(std::as_bytes(std::span(compressed)), text);
  EXPECT_EQ(step.state, Inflater::State::kEndOfMember);
  EXPECT_EQ(step.consumed, first.size());
  EXPECT_EQ(step.produced, 5u);
}

TEST(Inflater, TellsDamageAndStaysDamaged) {
  std::string compressed = Gzip(Noise(1000));
  compressed[compressed.size() - 6] ^= 1;  // of the checksum
  Inflater inflater;
  const Result result = InflateAll(inflater, compressed, 100, 100);
  EXPECT_TRUE(result.is_damaged);
  EXPECT_TRUE(result.text == Noise(1000));
  EXPECT_EQ(inflater.problem(), std::string("incorrect data check"));
  EXPECT_TRUE(InflateAll(inflater, Gzip("more"), 100, 100).is_damaged);
}

}  // namespace
}  // namespace coat
