#include "ops/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "cpu/absmax.h"
#include "ops/visit.h"
#include "cpu/lanes.h"
#include "cpu/scaled_rows.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kRows = 16;  // rows a task

/// One row of LayerNormBackward; decode(begin, count, out) writes elements of the normalized row as floats. The row is
/// taken in chunks: loops over floats in memory vectorize where those that decode as they go do not.
template <class T, class Decode>
void BackwardRow(std::int64_t width, Decode&& decode, const T* d_y, float rstd, bool overwrite, T* d_x) {
  constexpr std::int64_t kChunk = 512;
  float y[kChunk];
  float terms[kChunk];
  const float of_width = static_cast<float>(width);
  LaneSums sum_d;
  LaneSums sum_dy;
  for (std::int64_t begin = 0; begin < width; begin += kChunk) {
    const std::int64_t count = std::min(kChunk, width - begin);
    decode(begin, count, y);
    for (std::int64_t i = 0; i < count; ++i) terms[i] = ToFloat(d_y[begin + i]);
    sum_d.Add(terms, count);
    for (std::int64_t i = 0; i < count; ++i) terms[i] *= y[i];
    sum_dy.Add(terms, count);
  }
  const float mean_d = sum_d.Total() / of_width;
  const float mean_dy = sum_dy.Total() / of_width;
  for (std::int64_t begin = 0; begin < width; begin += kChunk) {
    const std::int64_t count = std::min(kChunk, width - begin);
    if (width > kChunk) decode(begin, count, y);
    for (std::int64_t i = 0; i < count; ++i) {
      const float gradient = (ToFloat(d_y[begin + i]) - mean_d - y[i] * mean_dy) * rstd;
      d_x[begin + i] = RoundTo<T>(overwrite ? gradient : ToFloat(d_x[begin + i]) + gradient);
    }
  }
}

template <class T>
void Backward(Context& ctx, const LayerNormBackwardArgs& args) {
  const std::int64_t width = args.d_y.shape()[1];
  float ignored = 0.0f;
  SharedAbsMax absmax(args.absmax ? args.absmax.As<float>() : &ignored);
  ctx.ParallelBlocks(args.d_y.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
    float largest = 0.0f;
    for (std::int64_t row = begin; row < end; ++row) {
      const T* d_y = args.d_y.As<T>() + row * width;
      T* d_x = args.d_x.As<T>() + row * width;
      const float rstd = args.rstd.As<float>()[row];
      if (args.y.format.scaling == Scaling::kNone) {
        VisitPlain(args.y.format.dtype, [&]<class Y>() {
          const Y* y = args.y.codes.As<Y>() + row * width;
          const auto decode = [=](std::int64_t first, std::int64_t count, float* out) {
            for (std::int64_t i = 0; i < count; ++i) out[i] = ToFloat(y[first + i]);
          };
          BackwardRow(width, decode, d_y, rstd, args.overwrite, d_x);
        });
      } else {
        VisitFp8(args.y.format.dtype, [&]<class F>() {
          const std::uint8_t* y = args.y.codes.As<std::uint8_t>() + row * width;
          const float scale = *args.y.scales.As<float>();
          const auto decode = [=](std::int64_t first, std::int64_t count, float* out) {
            for (std::int64_t i = 0; i < count; ++i) out[i] = DecodeFp8<F>(y[first + i]) * scale;
          };
          BackwardRow(width, decode, d_y, rstd, args.overwrite, d_x);
        });
      }
      largest = MaxMagnitude(largest, RunAbsMax(width, [=](std::int64_t i) { return ToFloat(d_x[i]); }));
    }
    absmax.Report(largest);
  });
}

}  // namespace

void AddLayerNorm(Context& ctx, const AddLayerNormArgs& args) {
  const std::int64_t width = args.x.shape()[1];
  const float of_width = static_cast<float>(width);
  float ignored = 0.0f;
  SharedAbsMax absmax(args.absmax ? args.absmax.As<float>() : &ignored);
  VisitPlain(args.x.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.x.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
      float largest = 0.0f;
      for (std::int64_t row = begin; row < end; ++row) {
        T* x = args.x.As<T>() + row * width;
        if (args.branch) {
          const T* branch = args.branch.As<T>() + row * width;
          for (std::int64_t i = 0; i < width; ++i) x[i] = RoundTo<T>(ToFloat(x[i]) + ToFloat(branch[i]));
        }
        const float mean = LaneSum(width, [=](std::int64_t i) { return ToFloat(x[i]); }) / of_width;
        const float variance = LaneSum(width,
                                       [=](std::int64_t i) {
                                         const float centered = ToFloat(x[i]) - mean;
                                         return centered * centered;
                                       }) /
                               of_width;
        const float rstd = 1.0f / std::sqrt(variance + args.eps);
        args.mean.As<float>()[row] = mean;
        args.rstd.As<float>()[row] = rstd;
        const auto normalized = [=](std::int64_t i) { return (ToFloat(x[i]) - mean) * rstd; };
        if (args.y) {
          T* y = args.y.As<T>() + row * width;
          for (std::int64_t i = 0; i < width; ++i) y[i] = RoundTo<T>(normalized(i));
        }
        if (args.absmax) largest = MaxMagnitude(largest, RunAbsMax(width, normalized));
      }
      absmax.Report(largest);
    });
  });
}

void NormalizeQuantize(Context& ctx, const NormalizeQuantizeArgs& args) {
  const std::int64_t width = args.x.shape()[1];
  VisitPlain(args.x.dtype(), [&]<class T>() {
    VisitFp8(args.y.format.dtype, [&]<class F>() {
      const float scale = ScaleFromAbsMax<F>(*args.absmax.As<float>());
      *args.y.scales.As<float>() = scale;
      ctx.ParallelBlocks(args.x.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          const T* x = args.x.As<T>() + row * width;
          const float mean = args.mean.As<float>()[row];
          const float rstd = args.rstd.As<float>()[row];
          EncodeRun<F>(
              width, 1.0f / scale, [=](std::int64_t i) { return (ToFloat(x[i]) - mean) * rstd; },
              args.y.codes.As<std::uint8_t>() + row * width);
        }
      });
    });
  });
}

void LayerNormBackward(Context& ctx, const LayerNormBackwardArgs& args) {
  VisitPlain(args.d_y.dtype(), [&]<class T>() { Backward<T>(ctx, args); });
}

}  // namespace coat::cpu
