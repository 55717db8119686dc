#include "ops/layer_norm.h"

#include <cmath>

#include "cpu/absmax.h"
#include "cpu/dispatch.h"
#include "cpu/lanes.h"
#include "cpu/scaled_rows.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kRows = 16;  // rows a task

/// One row of LayerNormBackward; decode(i) is the normalized row's element i.
template <class T, class Decode>
void BackwardRow(std::int64_t width, Decode&& decode, const T* d_y, float rstd, bool overwrite, T* d_x) {
  const float of_width = static_cast<float>(width);
  const float mean_d = LaneSum(width, [=](std::int64_t i) { return ToFloat(d_y[i]); }) / of_width;
  const float mean_dy = LaneSum(width, [=](std::int64_t i) { return ToFloat(d_y[i]) * decode(i); }) / of_width;
  for (std::int64_t i = 0; i < width; ++i) {
    const float gradient = (ToFloat(d_y[i]) - mean_d - decode(i) * mean_dy) * rstd;
    d_x[i] = RoundTo<T>(overwrite ? gradient : ToFloat(d_x[i]) + gradient);
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
          BackwardRow(
              width, [=](std::int64_t i) { return ToFloat(y[i]); }, d_y, rstd, args.overwrite, d_x);
        });
      } else {
        VisitFp8(args.y.format.dtype, [&]<class F>() {
          const std::uint8_t* y = args.y.codes.As<std::uint8_t>() + row * width;
          const float scale = *args.y.scales.As<float>();
          BackwardRow(
              width, [=](std::int64_t i) { return DecodeFp8<F>(y[i]) * scale; }, d_y, rstd, args.overwrite, d_x);
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
