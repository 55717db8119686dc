#include "ops/embedding.h"

#include <algorithm>
#include <cstdint>

#include "base/divide.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

/// Rows of a parallel block, and columns: a long run of one id is shared between threads by columns.
constexpr std::int64_t kRowGrain = 64;
constexpr std::int64_t kColumnGrain = 256;

/// Sorts positions by id, equal ids in ascending position, without allocating: counts into buckets of 2^shift
/// neighboring ids, as fine as `counters` allow, then sorts within the buckets if they hold more than one id.
void SortPositions(const std::int32_t* ids, std::int64_t count, std::int64_t id_count, std::int32_t* counters,
                   std::int64_t counter_limit, std::int32_t* order) {
  int shift = 0;
  while ((id_count >> shift) + 1 > counter_limit) ++shift;
  std::fill_n(counters, (id_count >> shift) + 1, 0);
  for (std::int64_t n = 0; n < count; ++n) ++counters[ids[n] >> shift];
  std::int32_t begin = 0;
  for (std::int64_t bucket = 0; bucket <= id_count >> shift; ++bucket) {
    const std::int32_t size = counters[bucket];
    counters[bucket] = begin;
    begin += size;
  }
  for (std::int64_t n = 0; n < count; ++n) order[counters[ids[n] >> shift]++] = static_cast<std::int32_t>(n);
  if (shift == 0) return;
  for (std::int64_t first = 0; first < count;) {
    const std::int64_t end = counters[ids[order[first]] >> shift];
    std::sort(order + first, order + end,
              [&](std::int32_t a, std::int32_t b) { return ids[a] != ids[b] ? ids[a] < ids[b] : a < b; });
    first = end;
  }
}

}  // namespace

void EmbeddingForward(Context& ctx, const EmbeddingForwardArgs& args) {
  const std::int64_t columns = args.weight.shape()[1];
  const std::int32_t* ids = args.ids.As<std::int32_t>();
  VisitPlain(args.weight.dtype(), [&]<class W>() {
    VisitPlain(args.x.dtype(), [&]<class T>() {
      ctx.ParallelBlocks(args.ids.elements(), kRowGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t n = begin; n < end; ++n) {
          const W* row = args.weight.As<W>() + ids[n] * columns;
          T* x = args.x.As<T>() + n * columns;
          for (std::int64_t c = 0; c < columns; ++c) x[c] = RoundTo<T>(ToFloat(row[c]));
        }
      });
    });
  });
}

void EmbeddingBackward(Context& ctx, const EmbeddingBackwardArgs& args) {
  const std::int64_t count = args.ids.elements();
  const std::int64_t columns = args.d_weight.shape()[1];
  const std::int32_t* ids = args.ids.As<std::int32_t>();
  std::int32_t* order = args.order.As<std::int32_t>();
  SortPositions(ids, count, args.d_weight.shape()[0], reinterpret_cast<std::int32_t*>(ctx.Workspace(0)),
                Context::kWorkspaceBytes / static_cast<std::int64_t>(sizeof(std::int32_t)), order);

  const std::int64_t row_blocks = DivideUp(count, kRowGrain);
  const std::int64_t column_blocks = DivideUp(columns, kColumnGrain);
  const auto starts_run = [&](std::int64_t i) { return i == 0 || ids[order[i]] != ids[order[i - 1]]; };
  VisitPlain(args.d_x.dtype(), [&]<class X>() {
    VisitPlain(args.d_weight.dtype(), [&]<class W>() {
      ctx.ParallelFor(row_blocks * column_blocks, [&](std::int64_t index, int) {
        const std::int64_t begin = index / column_blocks * kRowGrain;
        const std::int64_t end = std::min(begin + kRowGrain, count);
        const std::int64_t column = index % column_blocks * kColumnGrain;
        const std::int64_t width = std::min(kColumnGrain, columns - column);
        for (std::int64_t i = begin; i < end; ++i) {
          if (!starts_run(i)) continue;
          float sum[kColumnGrain];
          const X* first = args.d_x.As<X>() + order[i] * columns + column;
          for (std::int64_t c = 0; c < width; ++c) sum[c] = ToFloat(first[c]);
          for (std::int64_t next = i + 1; next < count && !starts_run(next); ++next) {
            const X* term = args.d_x.As<X>() + order[next] * columns + column;
            for (std::int64_t c = 0; c < width; ++c) sum[c] += ToFloat(term[c]);
          }
          W* row = args.d_weight.As<W>() + ids[order[i]] * columns + column;
          for (std::int64_t c = 0; c < width; ++c) row[c] = RoundTo<W>(ToFloat(row[c]) + sum[c]);
        }
      });
    });
  });
}

}  // namespace coat::cpu
