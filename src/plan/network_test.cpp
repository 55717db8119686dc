#include "plan/network.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

/// Round numbers: 100 GB/s within nodes of four, 10 GB/s between them, all of it reached; steps of 1 and 5 us.
Interconnect Simple() {
  return {.name = "simple", .gpus_per_node = 4, .inside = {100e9, 1.0, 1e-6}, .between = Link{10e9, 1.0, 5e-6}};
}

constexpr double kStart = 10e-6;  // of any collective

TEST(Network, OneRankTellsNobodyAnything) {
  EXPECT_EQ(GatherSeconds(1e9, {1, 1}, Simple()), 0.0);
  EXPECT_EQ(AllReduceSeconds(1e9, {1, 1}, Simple()), 0.0);
}

TEST(Network, WithinANodeARingIsBoundByItsLinks) {
  // 3/4 of 4 GB at 100 GB/s, three steps.
  EXPECT_DOUBLE_EQ(GatherSeconds(4e9, {4, 1}, Simple()), 0.030 + 3e-6 + kStart);
  EXPECT_DOUBLE_EQ(AllReduceSeconds(4e9, {4, 1}, Simple()), 2 * (0.030 + 3e-6) + kStart);
}

TEST(Network, BetweenNodesEachGpuBringsItsCard) {
  // Two nodes of four: 40 GB/s of cards, 7/8 of the bytes, six steps within nodes and one between.
  EXPECT_DOUBLE_EQ(GatherSeconds(8e9, {8, 1}, Simple()), 7e9 / 40e9 + 6e-6 + 5e-6 + kStart);
  // Ranks four apart: one of each node, one card.
  EXPECT_DOUBLE_EQ(GatherSeconds(8e9, {8, 4}, Simple()), 7e9 / 10e9 + 7 * 5e-6 + kStart);
  // Ranks two apart: two of each node.
  EXPECT_DOUBLE_EQ(GatherSeconds(8e9, {8, 2}, Simple()), 7e9 / 20e9 + 4e-6 + 3 * 5e-6 + kStart);
  // A second node with two ranks only has two cards.
  EXPECT_DOUBLE_EQ(GatherSeconds(6e9, {6, 1}, Simple()), 5e9 / 20e9 + 4e-6 + 5e-6 + kStart);
}

TEST(Network, AllWaitForTheGroupThatIsPlacedWorst) {
  // Three of four ranks of a node, then one there and two of the next: one card between them.
  EXPECT_DOUBLE_EQ(GatherSeconds(3e9, {3, 1, 1}, Simple()), 2e9 / 100e9 + 2e-6 + kStart);
  EXPECT_DOUBLE_EQ(GatherSeconds(3e9, {3, 1, 2}, Simple()), 2e9 / 10e9 + 1e-6 + 5e-6 + kStart);
  // Pairs of ranks three apart: (0, 3) within a node, (1, 4) and (2, 5) not.
  EXPECT_DOUBLE_EQ(GatherSeconds(2e9, {2, 3, 1}, Simple()), 1e9 / 100e9 + 1e-6 + kStart);
  EXPECT_DOUBLE_EQ(GatherSeconds(2e9, {2, 3, 3}, Simple()), 1e9 / 10e9 + 5e-6 + kStart);
  // Of pairs that are each other's neighbours the second begins behind the first.
  EXPECT_DOUBLE_EQ(GatherSeconds(2e9, {2, 1, 4}, Simple()), 1e9 / 100e9 + 1e-6 + kStart);
}

TEST(Network, AFasterCardHelpsUntilLinksBound) {
  Interconnect interconnect = Simple();
  double last = 1e9;
  for (const double bytes : {1e9, 10e9, 25e9}) {
    interconnect.between->bytes = bytes;
    const double seconds = GatherSeconds(8e9, {8, 1}, interconnect);
    EXPECT_LT(seconds, last);
    last = seconds;
  }
  interconnect.between->bytes = 1e12;
  EXPECT_EQ(GatherSeconds(8e9, {8, 1}, interconnect), last);
}

TEST(Network, IsFoundByItsWordOrByNumbers) {
  const Gpu& h100 = FindGpu("h100");
  EXPECT_EQ(FindInterconnect("", h100, 8).name, "ib400");
  EXPECT_EQ(FindInterconnect("", FindGpu("a100"), 8).between->bytes, 25e9);
  EXPECT_EQ(FindInterconnect("ib400", h100, 8).inside.bytes, 450e9);
  EXPECT_EQ(FindInterconnect("ib400", h100, 8).between->bytes, 50e9);
  EXPECT_EQ(FindInterconnect("ib200", h100, 4).gpus_per_node, 4);
  EXPECT_FALSE(FindInterconnect("nvlink", h100, 8).between);
  EXPECT_EQ(FindInterconnect("pcie", h100, 8).inside.bytes, 64e9);
  EXPECT_EQ(FindInterconnect("300,12.5", h100, 8).inside.bytes, 300e9);
  EXPECT_EQ(FindInterconnect("300,12.5", h100, 8).between->bytes, 12.5e9);
  for (const char* wrong : {"ib", "450", "450,", ",50", "450,50,1", "450,-1", "0,50", "450,nan", "450,inf", "4 5,5"}) {
    SCOPED_TRACE(wrong);
    EXPECT_THROW(FindInterconnect(wrong, h100, 8), UsageError);
  }
  EXPECT_THROW(FindGpu("b200"), UsageError);
}

}  // namespace
}  // namespace coat
