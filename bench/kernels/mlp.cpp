// SwiGLU.

#include <fmt/core.h>

#include "bench/kernels/bench.h"
#include "ops/swiglu.h"

namespace coat::bench {

void TimeMlp(Bench& b) {
  b.Bytes("SwigluForward", 6 * kNH, [&] {
    const TensorView up_gate = b.Normal({kTokens, 2 * kHidden}, DType::kBF16);
    const TensorView product = b.Tensor({kTokens, kHidden}, DType::kBF16);
    return [=, &b] { SwigluForward(b.ctx, {.up_gate = up_gate, .product = product}); };
  });
  b.Bytes("SwigluBackward", 12 * kNH, [&] {
    const TensorView up_gate = b.Normal({kTokens, 2 * kHidden}, DType::kBF16);
    const TensorView d_product = b.Normal({kTokens, kHidden}, DType::kBF16);
    const TensorView d_up_gate = b.Tensor({kTokens, 2 * kHidden}, DType::kBF16);
    const TensorView product = b.Tensor({kTokens, kHidden}, DType::kBF16);
    return [=, &b] {
      SwigluBackward(b.ctx, {.up_gate = up_gate, .d_product = d_product, .d_up_gate = d_up_gate, .product = product});
    };
  });
  for (const int group : {16, 128}) {
    const Format kept = Format::PerGroup(DType::kE4M3, group);
    const double of_kept = 2.0 + 4.0 / group;
    b.Bytes(fmt::format("SwigluQuantizeForward /g{}", group), (9 + of_kept) * kNH, [&] {
      const TensorView up_gate = b.Normal({kTokens, 2 * kHidden}, DType::kBF16);
      const QuantizedView saved = b.Quantized({kTokens, 2 * kHidden}, kept);
      const QuantizedView product = b.Quantized({kTokens, kHidden}, kForward);
      const TensorView absmax = b.Tensor({1}, DType::kF32);
      return [=, &b] {
        SwigluQuantizeForward(b.ctx,
                              {.up_gate = up_gate, .saved_up_gate = saved, .product = product, .absmax = absmax});
      };
    });
    b.Bytes(fmt::format("SwigluQuantizeBackward /g{}", group), (9 + 2 * of_kept) * kNH, [&] {
      const QuantizedView up_gate = b.Coded({kTokens, 2 * kHidden}, kept);
      const TensorView d_product = b.Normal({kTokens, kHidden}, DType::kBF16);
      const QuantizedView d_up_gate = b.Quantized({kTokens, 2 * kHidden}, kGradient);
      const QuantizedView d_up_gate_t = b.Quantized({2 * kHidden, kTokens}, kGradient);
      const QuantizedView product_t = b.Quantized({kHidden, kTokens}, kForward);
      const TensorView absmax = b.Tensor({2}, DType::kF32);
      return [=, &b] {
        SwigluQuantizeBackward(b.ctx, {.up_gate = up_gate,
                                       .d_product = d_product,
                                       .d_up_gate = d_up_gate,
                                       .d_up_gate_t = d_up_gate_t,
                                       .product_t = product_t,
                                       .absmax = absmax});
      };
    });
  }
}

}  // namespace coat::bench
