#include "ops/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "cpu/lanes.h"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

/// Elements a block: a function of the number of elements only, and such that the blocks' results fit the workspace.
std::int64_t BlockOf(std::int64_t elements) {
  return std::max<std::int64_t>(1 << 16, elements / 100000 + 1);
}

/// Adds 16 partial sums, the first first.
double SumInOrder(const double (&lanes)[kLanes]) {
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// The sums of a block, and its extreme magnitudes as bits, which order like the magnitudes with NaN above all.
struct BlockSums {
  double sum;
  double squares;
  std::uint32_t smallest;
  std::uint32_t largest;
};

template <class T>
double SumOfSquares(const T* x, std::int64_t count) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double value = ToFloat(x[i + lane]);
      lanes[lane] += value * value;
    }
  }
  for (int lane = 0; i < count; ++i, ++lane) {
    const double value = ToFloat(x[i]);
    lanes[lane] += value * value;
  }
  return SumInOrder(lanes);
}

template <class T>
BlockSums SumsOf(const T* x, std::int64_t count) {
  double sums[kLanes] = {};
  std::uint32_t smallest[kLanes];
  std::uint32_t largest[kLanes] = {};
  std::fill_n(smallest, kLanes, 0xffffffffu);
  const auto take = [&](int lane, float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) & 0x7fffffffu;
    sums[lane] += static_cast<double>(value);
    smallest[lane] = std::min(smallest[lane], bits);
    largest[lane] = std::max(largest[lane], bits);
  };
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) take(lane, ToFloat(x[i + lane]));
  }
  for (int lane = 0; i < count; ++i, ++lane) take(lane, ToFloat(x[i]));
  return {SumInOrder(sums), SumOfSquares(x, count), *std::min_element(smallest, smallest + kLanes),
          *std::max_element(largest, largest + kLanes)};
}

float NormOf(Context& ctx, ConstTensorView x) {
  const std::int64_t elements = x.elements();
  const std::int64_t block = BlockOf(elements);
  auto* squares = reinterpret_cast<double*>(ctx.Workspace(0));
  VisitPlain(x.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(elements, block, [&](std::int64_t begin, std::int64_t end) {
      squares[begin / block] = SumOfSquares(x.As<T>() + begin, end - begin);
    });
  });
  double sum = 0.0;
  for (std::int64_t i = 0; i * block < elements; ++i) sum += squares[i];
  return static_cast<float>(std::sqrt(sum));
}

}  // namespace

void L2Norms(Context& ctx, const L2NormsArgs& args) {
  for (std::size_t i = 0; i < args.tensors.size(); ++i) args.norms.As<float>()[i] = NormOf(ctx, args.tensors[i]);
}

void Statistics(Context& ctx, const StatisticsArgs& args) {
  const std::int64_t elements = args.x.elements();
  const std::int64_t block = BlockOf(elements);
  auto* sums = reinterpret_cast<BlockSums*>(ctx.Workspace(0));
  VisitPlain(args.x.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(elements, block, [&](std::int64_t begin, std::int64_t end) {
      sums[begin / block] = SumsOf(args.x.As<T>() + begin, end - begin);
    });
  });
  BlockSums total = sums[0];
  for (std::int64_t i = 1; i * block < elements; ++i) {
    total.sum += sums[i].sum;
    total.squares += sums[i].squares;
    total.smallest = std::min(total.smallest, sums[i].smallest);
    total.largest = std::max(total.largest, sums[i].largest);
  }
  float* statistics = args.statistics.As<float>();
  const float largest = std::bit_cast<float>(total.largest);
  statistics[0] = std::isnan(largest) ? largest : std::bit_cast<float>(total.smallest);
  statistics[1] = largest;
  statistics[2] = static_cast<float>(total.sum / static_cast<double>(elements));
  statistics[3] = static_cast<float>(std::sqrt(total.squares));
}

}  // namespace coat::cpu
