#include "ops/qk_norm_rope.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cpu/absmax.h"
#include "cpu/lanes.h"
#include "cpu/rms_rows.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kRows = 16;  // rows a task

/// Where the heads of one kind, queries or keys, lie in a row, and what belongs to them.
struct Part {
  std::int64_t first = 0;  // column of qkv
  std::int64_t heads = 0;
  const float* weight = nullptr;
};

/// Sizes, and both parts.
struct Layout {
  std::int64_t tokens, width, positions, head_size;
  Part queries, keys;

  template <class Args>
  explicit Layout(const Args& args)
      : tokens(args.qkv.shape()[0]),
        width(args.qkv.shape()[1]),
        positions(args.table.shape()[0]),
        head_size(args.table.shape()[1]),
        queries{0, args.heads, args.q_weight.template As<float>()},
        keys{args.heads * head_size, args.kv_heads, args.k_weight.template As<float>()} {}

  std::int64_t WidthOf(const Part& part) const { return part.heads * head_size; }
  /// The first column of values.
  std::int64_t Values() const { return keys.first + WidthOf(keys); }
};

/// rotated = rope(weight * (x * rstd)) of one token's part.
template <class T>
void ForwardRow(const Layout& layout, const Part& part, const T* x, float rstd, const float* angles, T* rotated) {
  const std::int64_t half = layout.head_size / 2;
  for (std::int64_t h = 0; h < part.heads; ++h) {
    const std::int64_t head = h * layout.head_size;
    const float* weight = part.weight + head;
    for (std::int64_t j = 0; j < half; ++j) {
      const float a = weight[j] * (ToFloat(x[head + j]) * rstd);
      const float b = weight[half + j] * (ToFloat(x[head + half + j]) * rstd);
      rotated[head + j] = RoundTo<T>(a * angles[j] - b * angles[half + j]);
      rotated[head + half + j] = RoundTo<T>(b * angles[j] + a * angles[half + j]);
    }
  }
}

/// The gradient of some heads before the rotation, from the one after it.
template <class T>
void TurnBack(const T* d_rotated, std::int64_t heads, std::int64_t head_size, const float* angles, float* d_y) {
  const std::int64_t half = head_size / 2;
  for (std::int64_t head = 0; head < heads * head_size; head += head_size) {
    for (std::int64_t j = 0; j < half; ++j) {
      const float a = ToFloat(d_rotated[head + j]);
      const float b = ToFloat(d_rotated[head + half + j]);
      const float s = -angles[half + j];
      d_y[head + j] = a * angles[j] - b * s;
      d_y[head + half + j] = b * angles[j] + a * s;
    }
  }
}

/// d becomes the gradient of the part of one token that was x. `d_y` has room for the part.
template <class T>
void BackwardRow(const Layout& layout, const Part& part, const T* x, float rstd, const float* angles, float* d_y,
                 T* d) {
  const std::int64_t width = layout.WidthOf(part);
  TurnBack(d, part.heads, layout.head_size, angles, d_y);
  for (std::int64_t i = 0; i < width; ++i) d_y[i] *= part.weight[i];
  const float sum = LaneSum(width, [=](std::int64_t i) { return d_y[i] * (ToFloat(x[i]) * rstd); });
  const float mean = sum / static_cast<float>(width);
  for (std::int64_t i = 0; i < width; ++i) d[i] = RoundTo<T>((d_y[i] - ToFloat(x[i]) * rstd * mean) * rstd);
}

/// The weight's gradient of one part, from the gradient after the rotation.
template <class T>
void SumWeightGradient(Context& ctx, const QkNormRopeBackwardArgs& args, const Layout& layout, const Part& part,
                       const float* rstd, TensorView d_weight) {
  SumColumns(ctx, layout.tokens, layout.head_size, args.accumulate, d_weight,
             [&](std::int64_t row, std::int64_t begin, std::int64_t count, float* terms) {
               const std::int64_t first = row * layout.width + part.first + begin;
               const float* angles = args.table.As<float>() + row % layout.positions * layout.head_size;
               TurnBack(args.d_qkv.As<T>() + first, 1, count, angles, terms);
               const T* x = args.qkv.As<T>() + first;
               for (std::int64_t i = 0; i < count; ++i) terms[i] *= ToFloat(x[i]) * rstd[row];
             });
}

}  // namespace

void QkNormRopeForward(Context& ctx, const QkNormRopeForwardArgs& args) {
  const Layout layout(args);
  const std::int64_t values = layout.Values();
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(layout.tokens, kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* x = args.qkv.As<T>() + row * layout.width;
        T* rotated = args.rotated.As<T>() + row * layout.width;
        const float* angles = args.table.As<float>() + row % layout.positions * layout.head_size;
        const float q_rstd = RstdOfRow(x, layout.WidthOf(layout.queries), args.eps);
        const float k_rstd = RstdOfRow(x + layout.keys.first, layout.WidthOf(layout.keys), args.eps);
        args.q_rstd.As<float>()[row] = q_rstd;
        args.k_rstd.As<float>()[row] = k_rstd;
        ForwardRow(layout, layout.queries, x, q_rstd, angles, rotated);
        ForwardRow(layout, layout.keys, x + layout.keys.first, k_rstd, angles, rotated + layout.keys.first);
        if (x == rotated) continue;
        std::memcpy(rotated + values, x + values, static_cast<std::size_t>(layout.width - values) * sizeof(T));
      }
    });
  });
}

void QkNormRopeBackward(Context& ctx, const QkNormRopeBackwardArgs& args) {
  const Layout layout(args);
  const float* q_rstd = args.q_rstd.As<float>();
  const float* k_rstd = args.k_rstd.As<float>();
  float ignored = 0.0f;
  SharedAbsMax absmax(args.absmax ? args.absmax.As<float>() : &ignored);
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    // The weights' gradients first: then d_qkv is overwritten.
    SumWeightGradient<T>(ctx, args, layout, layout.queries, q_rstd, args.d_q_weight);
    SumWeightGradient<T>(ctx, args, layout, layout.keys, k_rstd, args.d_k_weight);
    ctx.ParallelBlocks(layout.tokens, kRows, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> d_y(static_cast<std::size_t>(std::max(args.heads, args.kv_heads) * layout.head_size));
      float largest = 0.0f;
      for (std::int64_t row = begin; row < end; ++row) {
        const T* x = args.qkv.As<T>() + row * layout.width;
        T* d = args.d_qkv.As<T>() + row * layout.width;
        const float* angles = args.table.As<float>() + row % layout.positions * layout.head_size;
        BackwardRow(layout, layout.queries, x, q_rstd[row], angles, d_y.data(), d);
        BackwardRow(layout, layout.keys, x + layout.keys.first, k_rstd[row], angles, d_y.data(), d + layout.keys.first);
        if (args.absmax) largest = LaneAbsMax(layout.width, largest, [=](std::int64_t i) { return ToFloat(d[i]); });
      }
      absmax.Report(largest);
    });
  });
}

}  // namespace coat::cpu
