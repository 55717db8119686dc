// Norms, alone and with what is fused with them.

#include <fmt/core.h>

#include "bench/kernels/bench.h"
#include "ops/layer_norm.h"
#include "ops/qk_norm_rope.h"
#include "ops/rms_norm.h"

namespace coat::bench {

namespace {

void LayerNorms(Bench& b) {
  b.Bytes("AddLayerNorm", 6 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView branch = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView mean = b.Tensor({kTokens}, DType::kF32);
    const TensorView rstd = b.Tensor({kTokens}, DType::kF32);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] { AddLayerNorm(b.ctx, {.x = x, .branch = branch, .mean = mean, .rstd = rstd, .absmax = absmax}); };
  });
  b.Bytes("NormalizeQuantize", 3 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView mean = b.Normal({kTokens}, DType::kF32, 0.1f);
    const TensorView rstd = b.Normal({kTokens});
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y = b.Quantized({kTokens, kModel}, kForward);
    return [=, &b] { NormalizeQuantize(b.ctx, {.x = x, .mean = mean, .rstd = rstd, .absmax = absmax, .y = y}); };
  });
  b.Bytes("LayerNormBackward", 7 * kND, [&] {
    const QuantizedView y = b.Coded({kTokens, kModel}, kForward);
    const TensorView rstd = b.Normal({kTokens});
    const TensorView d_y = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView d_x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] { LayerNormBackward(b.ctx, {.y = y, .rstd = rstd, .d_y = d_y, .d_x = d_x, .absmax = absmax}); };
  });
}

/// Of OLMo 2, at the widths of its 1B and its 7B.
void RmsNorms(Bench& b, std::int64_t width) {
  const double elements = static_cast<double>(kTokens) * static_cast<double>(width);
  const Shape shape = {kTokens, width};
  const Format kept = Format::PerGroup(DType::kE4M3, 16);
  b.Bytes(fmt::format("RmsNorm {}", width), 4 * elements, [&] {
    const TensorView x = b.Normal(shape, DType::kBF16);
    const TensorView weight = b.Normal({width});
    const TensorView y = b.Tensor(shape, DType::kBF16);
    const TensorView rstd = b.Tensor({kTokens}, DType::kF32);
    return [=, &b] { RmsNorm(b.ctx, {.x = x, .weight = weight, .y = y, .rstd = rstd}); };
  });
  b.Bytes(fmt::format("AddRmsNorm /g16 {}", width), 7.125 * elements, [&] {
    const TensorView x = b.Normal(shape, DType::kBF16);
    const TensorView branch = b.Normal(shape, DType::kBF16);
    const TensorView weight = b.Normal({width});
    const TensorView rstd = b.Tensor({kTokens}, DType::kF32);
    const QuantizedView codes = b.Quantized(shape, kept);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] {
      AddRmsNorm(b.ctx,
                 {.x = x, .branch = branch, .weight = weight, .y = x, .rstd = rstd, .kept = codes, .absmax = absmax});
    };
  });
  for (const Format& format : {Format::Plain(DType::kBF16), kept}) {
    const bool plain = format.scaling == Scaling::kNone;
    const double of_x = plain ? 2.0 : 1.125;
    b.Bytes(fmt::format("RmsNormBackward {} {}", format.ToString(), width), (4.0 + of_x) * elements, [&] {
      const QuantizedView x = plain ? AsPlain(b.Normal(shape, DType::kBF16)) : b.Coded(shape, format);
      const TensorView weight = b.Normal({width});
      const TensorView rstd = b.Normal({kTokens});
      const TensorView d_y = b.Normal(shape, DType::kBF16);
      const TensorView d_x = b.Tensor(shape, DType::kBF16);
      const TensorView d_weight = b.Tensor({width}, DType::kF32);
      const TensorView absmax = b.Tensor({1}, DType::kF32);
      return [=, &b] {
        RmsNormBackward(
            b.ctx,
            {.x = x, .weight = weight, .rstd = rstd, .d_y = d_y, .d_x = d_x, .d_weight = d_weight, .absmax = absmax});
      };
    });
  }
}

/// Of OLMo 2, with as many heads of keys and values as of queries.
void QkNormRope(Bench& b, std::int64_t width) {
  const double elements = static_cast<double>(kTokens) * static_cast<double>(width);
  const Shape shape = {kTokens, 3 * width};
  constexpr std::int64_t kHeadSize = 128;
  const std::int64_t heads = width / kHeadSize;
  const TensorView table = b.Normal({kLength, kHeadSize});
  b.Bytes(fmt::format("QkNormRopeForward {}", width), 12 * elements, [&] {
    const TensorView qkv = b.Normal(shape, DType::kBF16);
    const TensorView weight = b.Normal({width});
    const TensorView rotated = b.Tensor(shape, DType::kBF16);
    const TensorView rstd = b.Tensor({kTokens}, DType::kF32);
    return [=, &b] {
      QkNormRopeForward(b.ctx, {.qkv = qkv,
                                .q_weight = weight,
                                .k_weight = weight,
                                .table = table,
                                .rotated = rotated,
                                .q_rstd = rstd,
                                .k_rstd = rstd,
                                .heads = heads,
                                .kv_heads = heads});
    };
  });
  b.Bytes(fmt::format("QkNormRopeBackward {}", width), 14 * elements, [&] {
    const TensorView qkv = b.Normal(shape, DType::kBF16);
    const TensorView weight = b.Normal({width});
    const TensorView rstd = b.Normal({kTokens});
    const TensorView d_qkv = b.Normal(shape, DType::kBF16);
    const TensorView d_weight = b.Tensor({width}, DType::kF32);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] {
      QkNormRopeBackward(b.ctx, {.qkv = qkv,
                                 .q_weight = weight,
                                 .k_weight = weight,
                                 .q_rstd = rstd,
                                 .k_rstd = rstd,
                                 .table = table,
                                 .d_qkv = d_qkv,
                                 .d_q_weight = d_weight,
                                 .d_k_weight = d_weight,
                                 .absmax = absmax,
                                 .heads = heads,
                                 .kv_heads = heads});
    };
  });
}

}  // namespace

void TimeNorms(Bench& b) {
  LayerNorms(b);
  for (const std::int64_t width : {2048, 4096}) {
    RmsNorms(b, width);
    QkNormRope(b, width);
  }
}

}  // namespace coat::bench
