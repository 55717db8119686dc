// Largest magnitudes, codes and their transposes.

#include <fmt/core.h>

#include "bench/kernels/bench.h"
#include "ops/quantize.h"
#include "ops/statistics.h"

namespace coat::bench {

void TimeQuantization(Bench& b) {
  for (const std::int64_t width : {kModel, 3 * kModel}) {
    const double elements = static_cast<double>(kTokens) * static_cast<double>(width);
    b.Bytes(fmt::format("Quantize and transpose {} bf16", width), 4 * elements, [&, width] {
      const TensorView x = b.Normal({kTokens, width}, DType::kBF16);
      const TensorView absmax = b.AbsMaxOf(x);
      const QuantizedView y = b.Quantized({kTokens, width}, kGradient);
      const QuantizedView y_t = b.Quantized({width, kTokens}, kGradient);
      return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y = y, .y_t = y_t}); };
    });
  }
  b.Bytes("AbsMax bf16", 2 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] { AbsMax(b.ctx, {.x = x, .absmax = absmax}); };
  });
  b.Bytes("Quantize bf16", 3 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y = b.Quantized({kTokens, kModel}, kForward);
    return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y = y}); };
  });
  b.Bytes("Quantize transposed bf16", 3 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y_t = b.Quantized({kModel, kTokens}, kForward);
    return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y_t = y_t}); };
  });
  b.Bytes("TransposeCodes", 2 * kND, [&] {
    const QuantizedView x = b.Coded({kTokens, kModel}, kForward);
    const QuantizedView y = b.Quantized({kModel, kTokens}, kForward);
    return [=, &b] { TransposeCodes(b.ctx, {.x = x.codes, .y = y.codes}); };
  });
  const Format group = Format::PerGroup(DType::kE4M3, 128, DType::kF32);
  b.Bytes("Quantize /g128 and transpose bf16", 4.0625 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const QuantizedView y = b.Quantized({kTokens, kModel}, group);
    const QuantizedView y_t = b.Quantized({kModel, kTokens}, group);
    return [=, &b] { Quantize(b.ctx, {.x = x, .y = y, .y_t = y_t}); };
  });
  const double weight = 2.0 * static_cast<double>(kHidden) * kModel;
  b.Bytes("weight AbsMax f32", 4 * weight, [&] {
    const TensorView x = b.Normal({2 * kHidden, kModel});
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] { AbsMax(b.ctx, {.x = x, .absmax = absmax}); };
  });
  b.Bytes("weight Quantize and transpose f32", 6 * weight, [&] {
    const TensorView x = b.Normal({2 * kHidden, kModel});
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y = b.Quantized({2 * kHidden, kModel}, kForward);
    const QuantizedView y_t = b.Quantized({kModel, 2 * kHidden}, kForward);
    return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y = y, .y_t = y_t}); };
  });
  b.Bytes("weight Quantize transposed f32", 5 * weight, [&] {
    const TensorView x = b.Normal({2 * kHidden, kModel});
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y_t = b.Quantized({kModel, 2 * kHidden}, kForward);
    return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y_t = y_t}); };
  });
}

}  // namespace coat::bench
