// The collectives, on threads as ranks and under mpirun (tests/CMakeLists.txt): the same cases and the same bytes.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/error.h"
#include "comm/communicator.h"
#include "comm/launch.h"
#include "numerics/bfloat16.h"
#include "tests/support/error_of.h"
#include "tests/support/join_ranks_main.h"

namespace coat {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// What rank `rank` has at element `index`: of magnitudes so far apart that the float32 sum depends on the order.
float ValueOf(int rank, std::int64_t index) {
  std::uint64_t hash = static_cast<std::uint64_t>(rank) * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(index) + 1;
  hash *= 0xbf58476d1ce4e5b9u;
  hash ^= hash >> 29;
  hash *= 0x94d049bb133111ebu;
  const auto exponent = static_cast<std::uint32_t>(127 - 12 + (hash >> 59));  // 2^-12 to 2^19
  const auto mantissa = static_cast<std::uint32_t>((hash >> 20) & 0x7fffff);
  const auto sign = static_cast<std::uint32_t>(hash & 1);
  return std::bit_cast<float>((sign << 31) | (exponent << 23) | mantissa);
}

template <class T>
constexpr DType kTypeOf = std::is_same_v<T, float>      ? DType::kF32
                          : std::is_same_v<T, BFloat16> ? DType::kBF16
                                                        : DType::kU8;

template <class T>
T Make(int rank, std::int64_t index) {
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    return static_cast<std::uint8_t>(rank * 53 + index * 7 + index / 256);
  } else {
    return RoundTo<T>(ValueOf(rank, index));
  }
}

template <class T>
std::vector<T> MakeAll(int rank, std::int64_t elements) {
  std::vector<T> values(static_cast<std::size_t>(elements));
  for (std::int64_t i = 0; i < elements; ++i) values[static_cast<std::size_t>(i)] = Make<T>(rank, i);
  return values;
}

template <class T>
TensorView View(std::vector<T>& values) {
  return {values.data(), {static_cast<std::int64_t>(values.size())}, kTypeOf<T>, DeviceKind::kCpu};
}

/// The sum in the order of the ranks, rounded once.
template <class T>
T SumOf(int ranks, std::int64_t index) {
  float sum = ToFloat(Make<T>(0, index));
  for (int rank = 1; rank < ranks; ++rank) sum += ToFloat(Make<T>(rank, index));
  return RoundTo<T>(sum);
}

/// The number of elements of [part) that are not, byte for byte, what `expected` says.
template <class T, class Expected>
std::int64_t Wrong(const std::vector<T>& values, Part part, const Expected& expected) {
  std::int64_t wrong = 0;
  for (std::int64_t i = part.first; i < part.end(); ++i) {
    const T right = expected(i);
    if (std::memcmp(&values[static_cast<std::size_t>(i)], &right, sizeof(T)) != 0) ++wrong;
  }
  return wrong;
}

template <class T>
Part All(const std::vector<T>& values) {
  return {0, static_cast<std::int64_t>(values.size())};
}

/// Which rank has element `index` of `elements`.
int OwnerOf(std::int64_t index, std::int64_t elements, std::int64_t unit, int ranks) {
  for (int rank = 0; rank < ranks; ++rank) {
    const Part part = PartOf(elements, unit, rank, ranks);
    if (index >= part.first && index < part.end()) return rank;
  }
  return -1;
}

struct Size {
  std::int64_t elements;
  std::int64_t unit;
};
// Nothing at all, less than a unit, fewer units than ranks, ends within a unit, a part that is empty.
constexpr Size kSizes[] = {{0, 1},     {1, 1},      {3, 1},      {5, 128},    {128, 128},  {129, 128},
                           {385, 128}, {1000, 384}, {1025, 128}, {70001, 16}, {131073, 1}, {262144, 128}};

TEST(Communicator, HasTheRankOfTheLauncher) {
  if (!JoinedRanks()) GTEST_SKIP() << "no launcher has started this";
  EXPECT_EQ(LaunchedRank(), JoinedRanks()->rank());
  EXPECT_EQ(LocalRank(), JoinedRanks()->rank());  // all are on this machine
}

template <class T>
void TestGather(Communicator& ranks) {
  Context ctx(DeviceKind::kCpu, 2);
  for (const auto& [elements, unit] : kSizes) {
    std::vector<T> values(static_cast<std::size_t>(elements));
    const Part mine = PartOf(elements, unit, ranks.rank(), ranks.size());
    for (std::int64_t i = mine.first; i < mine.end(); ++i) {
      values[static_cast<std::size_t>(i)] = Make<T>(ranks.rank(), i);
    }
    ranks.AllGather(ctx, std::vector<SharedTensor>{{View(values), unit}});
    EXPECT_EQ(Wrong(values, All(values),
                    [&](std::int64_t i) { return Make<T>(OwnerOf(i, elements, unit, ranks.size()), i); }),
              0)
        << elements << " in units of " << unit;
  }
}

TEST(Communicator, GathersTheParts) {
  OnRanks(TestGather<float>);
  OnRanks(TestGather<BFloat16>);
  OnRanks(TestGather<std::uint8_t>);
}

template <class T>
void TestScatter(Communicator& ranks) {
  Context ctx(DeviceKind::kCpu, 2);
  for (const auto& [elements, unit] : kSizes) {
    std::vector<T> values = MakeAll<T>(ranks.rank(), elements);
    ranks.ReduceScatter(ctx, std::vector<SharedTensor>{{View(values), unit}});
    EXPECT_EQ(Wrong(values, PartOf(elements, unit, ranks.rank(), ranks.size()),
                    [&](std::int64_t i) { return SumOf<T>(ranks.size(), i); }),
              0)
        << elements << " in units of " << unit;
  }
}

TEST(Communicator, SumsTheParts) {
  OnRanks(TestScatter<float>);
  OnRanks(TestScatter<BFloat16>);
}

template <class T>
void TestSum(Communicator& ranks) {
  Context ctx(DeviceKind::kCpu, 2);
  for (const auto& [elements, unit] : kSizes) {
    std::vector<T> values = MakeAll<T>(ranks.rank(), elements);
    ranks.AllReduce(ctx, std::vector<TensorView>{View(values)}, Reduction::kSum);
    EXPECT_EQ(Wrong(values, All(values), [&](std::int64_t i) { return SumOf<T>(ranks.size(), i); }), 0) << elements;
  }
}

TEST(Communicator, SumsWholeTensors) {
  OnRanks(TestSum<float>);
  OnRanks(TestSum<BFloat16>);
}

// What the tests above compare with would be other bytes in another order, or with a rounding after each rank.
TEST(Communicator, SumsOfTheTestsDependOnTheOrder) {
  int of_order = 0;
  int of_rounding = 0;
  for (std::int64_t i = 0; i < 1000; ++i) {
    float reversed = Make<float>(2, i) + Make<float>(1, i) + Make<float>(0, i);
    of_order += reversed != SumOf<float>(3, i) ? 1 : 0;
    BFloat16 rounded = Make<BFloat16>(0, i);
    for (int rank = 1; rank < 3; ++rank) rounded = ToBFloat16(ToFloat(rounded) + ToFloat(Make<BFloat16>(rank, i)));
    of_rounding += rounded.bits != SumOf<BFloat16>(3, i).bits ? 1 : 0;
  }
  EXPECT_GT(of_order, 100);
  EXPECT_GT(of_rounding, 50);
}

TEST(Communicator, TakesSeveralTensorsInACall) {
  OnRanks([](Communicator& ranks) {
    Context ctx(DeviceKind::kCpu, 1);
    // Odd numbers of bf16 before f32: what is received of the latter is to be aligned.
    std::vector<BFloat16> first = MakeAll<BFloat16>(ranks.rank(), 77);
    std::vector<float> second = MakeAll<float>(ranks.rank(), 1001);
    std::vector<BFloat16> third = MakeAll<BFloat16>(ranks.rank(), 1);
    std::vector<float> fourth = MakeAll<float>(ranks.rank(), 0);
    std::vector<float> fifth = MakeAll<float>(ranks.rank(), 300);
    const std::vector<SharedTensor> tensors = {
        {View(first), 1}, {View(second), 128}, {View(third), 16}, {View(fourth), 1}, {View(fifth), 4}};
    ranks.ReduceScatter(ctx, tensors);
    ranks.AllGather(ctx, tensors);
    EXPECT_EQ(Wrong(first, All(first), [&](std::int64_t i) { return SumOf<BFloat16>(ranks.size(), i); }), 0);
    EXPECT_EQ(Wrong(second, All(second), [&](std::int64_t i) { return SumOf<float>(ranks.size(), i); }), 0);
    EXPECT_EQ(Wrong(third, All(third), [&](std::int64_t i) { return SumOf<BFloat16>(ranks.size(), i); }), 0);
    EXPECT_EQ(Wrong(fifth, All(fifth), [&](std::int64_t i) { return SumOf<float>(ranks.size(), i); }), 0);
    ranks.AllGather(ctx, {});
    ranks.ReduceScatter(ctx, {});
    ranks.AllReduce(ctx, std::span<const TensorView>{}, Reduction::kSum);
  });
}

// Parts of more than is received of a sum at once, 64 MiB from all other ranks; with 2 ranks also of more than a
// message.
TEST(Communicator, TakesTensorsLargerThanItsStaging) {
  OnRanks(
      [](Communicator& ranks) {
        Context ctx(DeviceKind::kCpu, 1);
        std::vector<float> values = MakeAll<float>(ranks.rank(), ranks.size() == 2 ? 35'000'003 : 33'000'003);
        ranks.AllReduce(ctx, std::vector<TensorView>{View(values)}, Reduction::kSum);
        EXPECT_EQ(Wrong(values, All(values), [&](std::int64_t i) { return SumOf<float>(ranks.size(), i); }), 0);
      },
      {2, 3});
}

TEST(Communicator, TakesTheMaximum) {
  OnRanks([](Communicator& ranks) {
    Context ctx(DeviceKind::kCpu, 1);
    const int last = ranks.size() - 1;
    const bool is_last = ranks.rank() == last;
    std::vector<float> values = MakeAll<float>(ranks.rank(), 2003);
    // NaN on the last rank, on the first, on all; infinities; nothing but negative values.
    if (is_last) values[0] = kNan;
    if (ranks.rank() == 0) values[1] = kNan;
    values[2] = kNan;
    values[3] = is_last ? std::numeric_limits<float>::infinity() : 1.0f;
    values[4] = -std::numeric_limits<float>::infinity();
    values[5] = -1.0f - static_cast<float>(ranks.rank());
    ranks.AllReduce(ctx, std::vector<TensorView>{View(values)}, Reduction::kMax);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(values[i])) << i;
    EXPECT_EQ(values[3], std::numeric_limits<float>::infinity());
    EXPECT_EQ(values[4], -std::numeric_limits<float>::infinity());
    EXPECT_EQ(values[5], -1.0f);
    const auto largest = [&](std::int64_t i) {
      float value = ValueOf(0, i);
      for (int rank = 1; rank < ranks.size(); ++rank) value = std::fmax(value, ValueOf(rank, i));
      return value;
    };
    EXPECT_EQ(Wrong(values, {6, 1997}, largest), 0);
  });
}

TEST(Communicator, ReducesHostValuesInTheOrderOfTheRanks) {
  OnRanks([](Communicator& ranks) {
    // In double precision 1e16 + 1 is 1e16: the ones before it count, those after it are lost.
    const auto value = [](int rank) { return rank == 1 ? 1e16 : 1.0 + rank; };
    std::vector<double> values = {value(ranks.rank()), -static_cast<double>(ranks.rank()), 0.1};
    ranks.AllReduce(values, Reduction::kSum);
    double sum = value(0);
    double tenths = 0.1;
    for (int rank = 1; rank < ranks.size(); ++rank) {
      sum += value(rank);
      tenths += 0.1;
    }
    EXPECT_EQ(values[0], sum);
    EXPECT_EQ(values[1], -ranks.size() * (ranks.size() - 1) / 2);
    EXPECT_EQ(values[2], tenths);

    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> largest = {static_cast<double>(ranks.rank()), ranks.rank() == 0 ? nan : 1.0,
                                   ranks.rank() == ranks.size() - 1 ? nan : 1.0};
    ranks.AllReduce(largest, Reduction::kMax);
    EXPECT_EQ(largest[0], ranks.size() - 1);
    EXPECT_TRUE(std::isnan(largest[1]));
    EXPECT_TRUE(std::isnan(largest[2]));
    ranks.AllReduce(std::span<double>{}, Reduction::kSum);
  });
}

TEST(Communicator, GathersTextsOfAnyLength) {
  OnRanks([](Communicator& ranks) {
    const auto text = [](int rank) {
      if (rank == 1) return std::string();
      return std::string(static_cast<std::size_t>(rank * 1'000'003), 'x') + '\0' + std::to_string(rank);
    };
    const std::vector<std::string> texts = ranks.AllGatherText(text(ranks.rank()));
    ASSERT_EQ(static_cast<int>(texts.size()), ranks.size());
    for (int rank = 0; rank < ranks.size(); ++rank) {
      EXPECT_TRUE(texts[static_cast<std::size_t>(rank)] == text(rank)) << rank;
    }
    EXPECT_EQ(ranks.AllGatherText(""), std::vector<std::string>(static_cast<std::size_t>(ranks.size())));
    ranks.Barrier();
  });
}

// Together more than 64 MiB, which is more than a call of MPI gathers.
TEST(Communicator, GathersLongTexts) {
  OnRanks(
      [](Communicator& ranks) {
        const auto text = [](int rank) {
          return std::string(rank < 2 ? 40'000'000 : 5, static_cast<char>('a' + rank));
        };
        const std::vector<std::string> texts = ranks.AllGatherText(text(ranks.rank()));
        for (int rank = 0; rank < ranks.size(); ++rank) {
          EXPECT_TRUE(texts[static_cast<std::size_t>(rank)] == text(rank)) << rank;
        }
      },
      {3});
}

TEST(Communicator, SplitsByColor) {
  OnRanks([](Communicator& ranks) {
    Context ctx(DeviceKind::kCpu, 1);
    // With 4 ranks two by two, both ways; the colors are no numbers of ranks.
    const int row = ranks.rank() / 2;
    const int column = ranks.rank() % 2;
    const std::unique_ptr<Communicator> rows = ranks.Split(1000 + row);
    const std::unique_ptr<Communicator> columns = ranks.Split(7 * column);
    EXPECT_EQ(rows->rank(), column);
    EXPECT_EQ(rows->size(), std::min(2, ranks.size() - 2 * row));
    EXPECT_EQ(columns->rank(), row);
    EXPECT_EQ(columns->size(), (ranks.size() - column + 1) / 2);
    const std::vector<std::string> names = columns->AllGatherText(std::to_string(ranks.rank()));
    for (int i = 0; i < columns->size(); ++i) {
      EXPECT_EQ(names[static_cast<std::size_t>(i)], std::to_string(2 * i + column));
    }

    // Gathered within a row, then summed over the rows; one communicator after the other.
    std::vector<float> values = MakeAll<float>(ranks.rank(), 130);
    columns->AllReduce(ctx, std::vector<TensorView>{View(values)}, Reduction::kSum);
    EXPECT_EQ(Wrong(values, All(values),
                    [&](std::int64_t i) {
                      float sum = ValueOf(column, i);
                      for (int rank = column + 2; rank < ranks.size(); rank += 2) sum += ValueOf(rank, i);
                      return sum;
                    }),
              0);
    std::vector<float> whole = MakeAll<float>(ranks.rank(), 130);
    rows->AllReduce(ctx, std::vector<TensorView>{View(whole)}, Reduction::kSum);
    ranks.AllReduce(ctx, std::vector<TensorView>{View(values)}, Reduction::kMax);
    EXPECT_EQ(Wrong(whole, All(whole),
                    [&](std::int64_t i) {
                      const float first = ValueOf(2 * row, i);
                      return rows->size() == 2 ? first + ValueOf(2 * row + 1, i) : first;
                    }),
              0);
    // A part of a part: this rank alone, for which there is nothing to do.
    const std::unique_ptr<Communicator> alone = rows->Split(column);
    EXPECT_EQ(alone->size(), 1);
    values[0] = 3.0f;
    alone->AllReduce(ctx, std::vector<TensorView>{View(values)}, Reduction::kSum);
    EXPECT_EQ(values[0], 3.0f);
    EXPECT_EQ(alone->AllGatherText("me"), std::vector<std::string>{"me"});
  });
}

TEST(Communicator, DoesNothingOnMeta) {
  OnRanks([](Communicator& ranks) {
    Context ctx(DeviceKind::kMeta);
    const TensorView tensor(nullptr, {1 << 20}, DType::kF32, DeviceKind::kMeta);
    ranks.AllGather(ctx, std::vector<SharedTensor>{{tensor, 128}});
    ranks.ReduceScatter(ctx, std::vector<SharedTensor>{{tensor, 128}});
    ranks.AllReduce(ctx, std::vector<TensorView>{tensor}, Reduction::kMax);
  });
}

TEST(Communicator, RefusesWhatItCannotReduce) {
  OnRanks(
      [](Communicator& ranks) {
        Context ctx(DeviceKind::kCpu, 1);
        std::vector<std::uint8_t> bytes(256);
        ExpectParts(ErrorOf<ArgumentError>([&] {
                      ranks.ReduceScatter(ctx, std::vector<SharedTensor>{{View(bytes), 1}});
                    }),
                    {"the sum of u8", "f32 or bf16"});
        std::vector<BFloat16> values(256);
        ExpectParts(ErrorOf<ArgumentError>(
                        [&] { ranks.AllReduce(ctx, std::vector<TensorView>{View(values)}, Reduction::kMax); }),
                    {"the maximum of bf16", "expected f32"});
        ExpectParts(ErrorOf<ArgumentError>([&] {
                      ranks.AllGather(ctx, std::vector<SharedTensor>{{View(values), 0}});
                    }),
                    {"units of 0"});
        const TensorView on_gpu(values.data(), {256}, DType::kBF16, DeviceKind::kCuda);
        ExpectParts(ErrorOf<ArgumentError>([&] {
                      ranks.AllGather(ctx, std::vector<SharedTensor>{{on_gpu, 1}});
                    }),
                    {"[256] bf16 on cuda", "on cpu"});
      },
      {2});
}

}  // namespace
}  // namespace coat

int main(int argc, char** argv) {
  return coat::RunTestsOnRanks(argc, argv);
}
