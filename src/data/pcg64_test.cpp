#include "data/pcg64.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <numeric>
#include <vector>

namespace coat {
namespace {

// Every expected number here was printed by NumPy 2.4.6.

std::vector<std::uint32_t> Shuffled(std::uint64_t seed, std::uint32_t count) {
  std::vector<std::uint32_t> values(count);
  std::iota(values.begin(), values.end(), 0u);
  Pcg64 random(seed);
  Shuffle(values, random);
  return values;
}

/// CRC-32 of the little-endian bytes: zlib.crc32(array.tobytes()).
std::uint32_t Checksum(const std::vector<std::uint32_t>& values) {
  return static_cast<std::uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(values.data()), static_cast<uInt>(values.size() * 4)));
}

TEST(NumpySeedState, EqualsNumpyForOneAndTwoWordSeeds) {
  using State = std::array<std::uint64_t, 4>;
  EXPECT_EQ(NumpySeedState(0),
            (State{15793235383387715774u, 12390638538380655177u, 2361836109651742017u, 3188717715514472916u}));
  EXPECT_EQ(NumpySeedState(1),
            (State{7434755675892716031u, 10007452063617845036u, 5266248848659119178u, 15045448681910192573u}));
  EXPECT_EQ(NumpySeedState(6198),
            (State{18226109254346334829u, 11509511256931753152u, 6908304897609655621u, 406285045705944941u}));
  EXPECT_EQ(NumpySeedState(0xffffffffu),
            (State{3028043900922232328u, 2320167514380599704u, 17098690511671083926u, 6235634683512324349u}));
  EXPECT_EQ(NumpySeedState(0x100000000u),
            (State{5836529245451711556u, 8811601478698894690u, 4323349454413245209u, 13668837544996263139u}));
  EXPECT_EQ(NumpySeedState(0x100000005u),
            (State{17996766564426832300u, 12826844651305701079u, 10630945381835142969u, 6839746111962626529u}));
  EXPECT_EQ(NumpySeedState(0xffffffffffffffffu),
            (State{12591116029944179981u, 1268942265879420026u, 1998214320288580263u, 12063755697402456310u}));
}

TEST(Pcg64, EqualsNumpysRandomRaw) {
  struct Case {
    std::uint64_t seed;
    std::array<std::uint64_t, 3> raw;
  };
  const std::vector<Case> cases = {
      {0, {0xa30febcfd9c2825f, 0x4510bdf882d9d721, 0x0a7d3da94ecde8b8}},
      {1, {0x8306bdf37922e4ff, 0xf35196bbc152a866, 0x24e7a4f608ec18cd}},
      {42, {0xc621fbcd16d92688, 0x705a5661a791ffc1, 0xdbcd12c26eda1624}},
      {6198, {0xb4539f5cff6dcdf5, 0x4943c97e3b66ef81, 0x72b1c0d75cf4db48}},
      {0xffffffff, {0x407f5fa930d8fd9f, 0x3814b22eb9684802, 0x498b7dcee8d8dc95}},
      {0x100000000, {0xe3c5ebe285ac1625, 0x8ea09968fe31dbcc, 0xcd084ff84d8de9be}},
      {0x100000005, {0xc6323ec321deb8d1, 0x78814821c73a0583, 0xb22536d8e0ec17c0}},
      {0xffffffffffffffff, {0xae163a7a8c47568f, 0xd86659f5f3382359, 0x01e52b195bc2d24a}},
  };
  for (const Case& expected : cases) {
    Pcg64 random(expected.seed);
    for (const std::uint64_t raw : expected.raw) {
      EXPECT_EQ(random.Next64(), raw) << "seed " << expected.seed;
    }
  }
  // The well known first random() of seed 42: the top 53 bits.
  EXPECT_EQ(static_cast<double>(Pcg64(42).Next64() >> 11) * 0x1p-53, 0.7739560485559633);
}

TEST(Pcg64, SplitsA64BitNumberLowHalfFirst) {
  Pcg64 random(6198);
  EXPECT_EQ(random.Next32(), 0xff6dcdf5u);
  EXPECT_EQ(random.Next32(), 0xb4539f5cu);
  EXPECT_EQ(random.Next32(), 0x3b66ef81u);
}

TEST(Pcg64, DrawsNothingForTheOnlyNumberUpToZero) {
  Pcg64 random(6198);
  EXPECT_EQ(random.NextUpTo(0), 0u);
  EXPECT_EQ(random.Next64(), 0xb4539f5cff6dcdf5u);
  EXPECT_EQ(Pcg64(6198).NextUpTo(0xffffffffu), 0xff6dcdf5u);
}

TEST(Shuffle, EqualsNumpy) {
  using Order = std::vector<std::uint32_t>;
  EXPECT_EQ(Shuffled(6198, 0), Order{});
  EXPECT_EQ(Shuffled(6198, 1), Order{0});
  EXPECT_EQ(Shuffled(6198, 2), (Order{0, 1}));
  EXPECT_EQ(Shuffled(42, 10), (Order{5, 6, 0, 7, 3, 2, 4, 9, 1, 8}));
  EXPECT_EQ(Shuffled(6198, 16), (Order{4, 14, 6, 15, 3, 2, 13, 0, 10, 11, 9, 7, 8, 1, 12, 5}));
  EXPECT_EQ(Shuffled(6199, 16), (Order{5, 6, 15, 8, 4, 9, 11, 12, 2, 1, 14, 3, 10, 13, 0, 7}));
}

TEST(Shuffle, EqualsNumpyOnLongerArrays) {
  const std::vector<std::uint32_t> thousand = Shuffled(6198, 1000);
  EXPECT_EQ(std::vector<std::uint32_t>(thousand.begin(), thousand.begin() + 8),
            (std::vector<std::uint32_t>{615, 832, 881, 9, 648, 523, 809, 336}));
  EXPECT_EQ(std::vector<std::uint32_t>(thousand.end() - 4, thousand.end()),
            (std::vector<std::uint32_t>{382, 897, 860, 501}));
  EXPECT_EQ(Checksum(thousand), 0xd2cc6f14u);
  EXPECT_EQ(Checksum(Shuffled(0, 31)), 0xc31a5b4au);
  EXPECT_EQ(Checksum(Shuffled(0xffffffffu, 33)), 0xcb892f92u);
  EXPECT_EQ(Checksum(Shuffled(0x100000000u, 33)), 0x2fe76865u);
  EXPECT_EQ(Checksum(Shuffled(6198, 100000)), 0x0e8e3137u);
}

}  // namespace
}  // namespace coat
