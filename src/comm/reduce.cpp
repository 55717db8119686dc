#include "comm/reduce.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "numerics/bfloat16.h"

namespace coat {

namespace {

/// Elements that are summed on the stack, source after source.
constexpr std::int64_t kTile = 1024;
/// Elements that a thread takes at a time.
constexpr std::int64_t kGrain = 64 * kTile;

struct Sum {
  static float Combine(float a, float b) { return a + b; }
};

struct Max {
  static float Combine(float a, float b) { return std::isnan(a) || a > b ? a : b; }
};

template <class T, class Operation>
void ReduceTile(std::span<const std::byte* const> sources, std::byte* out, std::int64_t begin, std::int64_t end) {
  std::array<float, kTile> total;
  const auto count = static_cast<std::size_t>(end - begin);
  const T* source = reinterpret_cast<const T*>(sources[0]) + begin;
  for (std::size_t i = 0; i < count; ++i) total[i] = ToFloat(source[i]);
  for (std::size_t rank = 1; rank < sources.size(); ++rank) {
    source = reinterpret_cast<const T*>(sources[rank]) + begin;
    for (std::size_t i = 0; i < count; ++i) total[i] = Operation::Combine(total[i], ToFloat(source[i]));
  }
  T* result = reinterpret_cast<T*>(out) + begin;
  for (std::size_t i = 0; i < count; ++i) result[i] = RoundTo<T>(total[i]);
}

template <class T, class Operation>
void Reduce(Context& ctx, std::span<const std::byte* const> sources, std::byte* out, std::int64_t elements) {
  ctx.ParallelBlocks(elements, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (; begin < end; begin += kTile) ReduceTile<T, Operation>(sources, out, begin, std::min(begin + kTile, end));
  });
}

}  // namespace

void RequireReducible(DType dtype, Reduction reduction) {
  const bool is_sum = reduction == Reduction::kSum;
  COAT_REQUIRE(dtype == DType::kF32 || (is_sum && dtype == DType::kBF16), "the {} of {} over ranks; expected {}",
               is_sum ? "sum" : "maximum", NameOf(dtype), is_sum ? "f32 or bf16" : "f32");
}

void ReduceInOrder(Context& ctx, std::span<const std::byte* const> sources, std::byte* out, std::int64_t elements,
                   DType dtype, Reduction reduction) {
  RequireReducible(dtype, reduction);
  if (reduction == Reduction::kMax) return Reduce<float, Max>(ctx, sources, out, elements);
  if (dtype == DType::kF32) return Reduce<float, Sum>(ctx, sources, out, elements);
  Reduce<BFloat16, Sum>(ctx, sources, out, elements);
}

}  // namespace coat
