#include "ops/rms_norm.h"

#include <algorithm>
#include <cstdint>

#include "cpu/absmax.h"
#include "cpu/lanes.h"
#include "cpu/rms_rows.h"
#include "cpu/scaled_rows.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kRows = 16;  // rows a task

/// The branch's row as Quantize would keep it.
template <class T>
void KeepRow(const T* branch, std::int64_t row, const QuantizedView& kept) {
  const std::int64_t width = kept.shape()[1];
  VisitFp8(kept.format.dtype, [&]<class F>() {
    EncodeGroups<F>(
        width, kept.format.group, [=](std::int64_t i) { return ToFloat(branch[i]); },
        kept.codes.As<std::uint8_t>() + row * width, kept.scales.As<BFloat16>() + row * (width / kept.format.group));
  });
}

/// Calls f(decode), where decode(row, begin, count, out) writes elements of the kept input as floats: up to kGroupChunk
/// from a multiple of kSmallestGroup on.
template <class T, class Function>
void WithDecoder(const ConstQuantizedView& x, Function&& f) {
  const std::int64_t width = x.shape()[1];
  if (x.format.scaling == Scaling::kNone) {
    const T* values = x.codes.As<T>();
    f([=](std::int64_t row, std::int64_t begin, std::int64_t count, float* out) {
      for (std::int64_t i = 0; i < count; ++i) out[i] = ToFloat(values[row * width + begin + i]);
    });
    return;
  }
  VisitFp8(x.format.dtype, [&]<class F>() {
    const std::uint8_t* codes = x.codes.As<std::uint8_t>();
    const BFloat16* scales = x.scales.As<BFloat16>();
    const int group = x.format.group;
    f([=](std::int64_t row, std::int64_t begin, std::int64_t count, float* out) {
      DecodeGroups<F>(codes + row * width + begin, scales + row * (width / group), group, begin, count, out);
    });
  });
}

/// One row of RmsNormBackward, taken in chunks as LayerNormBackward's.
template <class T, class Decode>
void BackwardRow(std::int64_t row, std::int64_t width, Decode&& decode, const float* weight, float rstd, const T* d_y,
                 T* d_x) {
  float n[kGroupChunk];
  float g[kGroupChunk];
  const auto load = [&](std::int64_t begin, std::int64_t count) {
    decode(row, begin, count, n);
    for (std::int64_t i = 0; i < count; ++i) n[i] *= rstd;
    for (std::int64_t i = 0; i < count; ++i) g[i] = ToFloat(d_y[begin + i]) * weight[begin + i];
  };
  LaneSums sum;
  for (std::int64_t begin = 0; begin < width; begin += kGroupChunk) {
    const std::int64_t count = std::min(kGroupChunk, width - begin);
    float terms[kGroupChunk];
    load(begin, count);
    for (std::int64_t i = 0; i < count; ++i) terms[i] = g[i] * n[i];
    sum.Add(terms, count);
  }
  const float mean = sum.Total() / static_cast<float>(width);
  for (std::int64_t begin = 0; begin < width; begin += kGroupChunk) {
    const std::int64_t count = std::min(kGroupChunk, width - begin);
    if (width > kGroupChunk) load(begin, count);
    for (std::int64_t i = 0; i < count; ++i) d_x[begin + i] = RoundTo<T>((g[i] - n[i] * mean) * rstd);
  }
}

template <class T, class Decode>
void Backward(Context& ctx, const RmsNormBackwardArgs& args, Decode&& decode) {
  const std::int64_t rows = args.d_y.shape()[0];
  const std::int64_t width = args.d_y.shape()[1];
  const float* weight = args.weight.As<float>();
  const float* rstd = args.rstd.As<float>();
  const T* d_y = args.d_y.As<T>();
  float ignored = 0.0f;
  SharedAbsMax absmax(args.absmax ? args.absmax.As<float>() : &ignored);
  ctx.ParallelBlocks(rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    float largest = 0.0f;
    for (std::int64_t row = begin; row < end; ++row) {
      T* d_x = args.d_x.As<T>() + row * width;
      BackwardRow(row, width, decode, weight, rstd[row], d_y + row * width, d_x);
      if (args.absmax) largest = LaneAbsMax(width, largest, [=](std::int64_t i) { return ToFloat(d_x[i]); });
    }
    absmax.Report(largest);
  });
  constexpr std::int64_t kStrip = 128;
  SumColumns(ctx, rows, kStrip, args.accumulate, args.d_weight,
             [&](std::int64_t row, std::int64_t begin, std::int64_t count, float* terms) {
               decode(row, begin, count, terms);
               const T* d = d_y + row * width + begin;
               for (std::int64_t i = 0; i < count; ++i) terms[i] = ToFloat(d[i]) * (terms[i] * rstd[row]);
             });
}

}  // namespace

void RmsNorm(Context& ctx, const RmsNormArgs& args) {
  const std::int64_t width = args.x.shape()[1];
  const float* weight = args.weight.As<float>();
  VisitPlain(args.x.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.x.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* x = args.x.As<T>() + row * width;
        T* y = args.y.As<T>() + row * width;
        const float rstd = RstdOfRow(x, width, args.eps);
        args.rstd.As<float>()[row] = rstd;
        for (std::int64_t i = 0; i < width; ++i) y[i] = RoundTo<T>(weight[i] * (ToFloat(x[i]) * rstd));
      }
    });
  });
}

void AddRmsNorm(Context& ctx, const AddRmsNormArgs& args) {
  const std::int64_t width = args.x.shape()[1];
  const float* weight = args.weight.As<float>();
  float ignored = 0.0f;
  SharedAbsMax absmax(args.absmax ? args.absmax.As<float>() : &ignored);
  VisitPlain(args.x.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.x.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
      float largest = 0.0f;
      for (std::int64_t row = begin; row < end; ++row) {
        const T* x = args.x.As<T>() + row * width;
        const T* branch = args.branch.As<T>() + row * width;
        T* y = args.y.As<T>() + row * width;
        const float rstd = RstdOfRow(branch, width, args.eps);
        args.rstd.As<float>()[row] = rstd;
        if (args.kept) KeepRow(branch, row, args.kept);
        for (std::int64_t i = 0; i < width; ++i) {
          y[i] = RoundTo<T>(ToFloat(x[i]) + weight[i] * (ToFloat(branch[i]) * rstd));
        }
        if (args.absmax) largest = LaneAbsMax(width, largest, [=](std::int64_t i) { return ToFloat(y[i]); });
      }
      absmax.Report(largest);
    });
  });
}

void RmsNormBackward(Context& ctx, const RmsNormBackwardArgs& args) {
  VisitPlain(args.d_y.dtype(),
             [&]<class T>() { WithDecoder<T>(args.x, [&](auto&& decode) { Backward<T>(ctx, args, decode); }); });
}

}  // namespace coat::cpu
