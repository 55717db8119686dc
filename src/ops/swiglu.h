#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

// OLMo's fused projection holds `up` in the first half of its columns and `gate` in the second: up_gate [N, 2F].

struct SwigluForwardArgs {
  ConstTensorView up_gate;  // [N, 2F] f32 or bf16
  TensorView product;       // [N, F] of the same type, written
};

/// product = silu(gate) * up. Rounding: in float32 (numerics/activation.h), once to product's type. Exactness: bitwise.
/// Throws ArgumentError unless shapes, types and devices are as above. Source: OLMo's SwiGLU.
void SwigluForward(Context& ctx, const SwigluForwardArgs& args);

struct SwigluBackwardArgs {
  ConstTensorView up_gate;    // [N, 2F] f32 or bf16
  ConstTensorView d_product;  // [N, F] of the same type
  TensorView d_up_gate;       // [N, 2F] of the same type, written
  TensorView product;         // [N, F] of the same type: the forward's output once more, written
};

/// Gradients of up and gate, and the product recomputed. Rounding: float32, once to each output's type. Exactness:
/// bitwise. Throws ArgumentError unless shapes, types and devices are as above. Source: the derivative of
/// SwigluForward.
void SwigluBackward(Context& ctx, const SwigluBackwardArgs& args);

struct SwigluQuantizeForwardArgs {
  ConstTensorView up_gate;      // [N, 2F] f32 or bf16
  QuantizedView saved_up_gate;  // [N, 2F] e4m3 or e5m2 /gG, bf16 scales: what backward needs; written
  QuantizedView product;        // [N, F] e4m3 or e5m2 /t, written
  TensorView absmax;            // [1] f32, that of the float32 product; written
};

/// SwiGLU of COAT's MLP: saves up and gate in groups and codes the product, which exists nowhere in a wider type.
///
/// Rounding: the product from the unquantized up and gate in float32, then as Quantize /t; up and gate as Quantize /gG.
/// Exactness: bitwise: the same bytes as Quantize of up_gate, and as the /t codes of the float32 product.
/// Throws ArgumentError unless shapes, formats and devices are as above and 2F and F are multiples of G.
/// Source: COAT (arXiv:2410.19313), mixed-granularity flow; it keeps silu and the product as well and computes them
/// from the quantized up and gate.
void SwigluQuantizeForward(Context& ctx, const SwigluQuantizeForwardArgs& args);

struct SwigluQuantizeBackwardArgs {
  ConstQuantizedView up_gate;  // [N, 2F] e4m3 or e5m2 /gG, as saved by the forward op
  ConstTensorView d_product;   // [N, F] f32 or bf16
  QuantizedView d_up_gate;     // [N, 2F] e4m3 or e5m2 /t: operand of the input's gradient; written
  QuantizedView d_up_gate_t;   // [2F, N] e4m3 or e5m2 /t: operand of the weight's gradient; written
  QuantizedView product_t;     // [F, N] e4m3 or e5m2 /t: operand of the next weight's gradient; written
  TensorView absmax;           // [2] f32: of d_up_gate, of the product; written
};

/// Backward of SwigluQuantizeForward from the saved codes: silu and product are recomputed, gradients come out coded.
///
/// Rounding: up and gate decoded to float32; gradients and product in float32, then as Quantize /t, each with the
/// absmax of its own float32 values. Exactness: bitwise: the same bytes as the composition of Dequantize to f32, the
/// scalar formulas and Quantize. Throws ArgumentError unless shapes, formats and devices are as above. Source: COAT,
/// except that nothing is rounded to bf16 between the gradients of mul and of silu.
void SwigluQuantizeBackward(Context& ctx, const SwigluQuantizeBackwardArgs& args);

namespace cpu {
void SwigluForward(Context& ctx, const SwigluForwardArgs& args);
void SwigluBackward(Context& ctx, const SwigluBackwardArgs& args);
void SwigluQuantizeForward(Context& ctx, const SwigluQuantizeForwardArgs& args);
void SwigluQuantizeBackward(Context& ctx, const SwigluQuantizeBackwardArgs& args);
}  // namespace cpu
namespace cuda {
void SwigluForward(Context& ctx, const SwigluForwardArgs& args);
void SwigluBackward(Context& ctx, const SwigluBackwardArgs& args);
void SwigluQuantizeForward(Context& ctx, const SwigluQuantizeForwardArgs& args);
void SwigluQuantizeBackward(Context& ctx, const SwigluQuantizeBackwardArgs& args);
}  // namespace cuda

}  // namespace coat
