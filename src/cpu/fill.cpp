#include "ops/fill.h"

#include <algorithm>
#include <limits>

#include "ops/visit.h"
#include "numerics/normal.h"
#include "numerics/philox.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kElements = 1 << 14;  // elements a task

std::uint32_t Low(std::uint64_t x) {
  return static_cast<std::uint32_t>(x);
}
std::uint32_t High(std::uint64_t x) {
  return static_cast<std::uint32_t>(x >> 32);
}

}  // namespace

void Fill(Context& ctx, const FillArgs& args) {
  VisitPlain(args.x.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.x.elements(), kElements, [&](std::int64_t begin, std::int64_t end) {
      std::fill(args.x.As<T>() + begin, args.x.As<T>() + end, RoundTo<T>(args.value));
    });
  });
}

void FillNormal(Context& ctx, const FillNormalArgs& args) {
  const float cutoff = args.cutoff > 0.0f ? args.cutoff : std::numeric_limits<float>::infinity();
  const float inside = InsideOf(cutoff);
  ctx.ParallelBlocks(args.x.elements(), kElements, [&](std::int64_t begin, std::int64_t end) {
    float* x = args.x.As<float>();
    const auto last = static_cast<std::uint64_t>(args.offset + end);
    for (auto i = static_cast<std::uint64_t>(args.offset + begin); i < last;) {
      const auto words = Philox({Low(i / 4), High(i / 4), Low(args.tensor_id), High(args.tensor_id)},
                                {Low(args.seed), High(args.seed)});
      for (std::uint64_t word = i % 4; word < 4 && i < last; ++word, ++i) {
        x[static_cast<std::int64_t>(i) - args.offset] = args.std * TruncatedNormal(words[word], inside, cutoff);
      }
    }
  });
}

}  // namespace coat::cpu
