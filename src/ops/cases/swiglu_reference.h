#pragma once
// SwiGLU and its derivative in double, and how far float32 may be from them; for the cases of SwiGLU's ops.

namespace coat {

/// An exact value and the largest error that the contract's float32 formula makes before its last rounding.
struct Bounded {
  double exact = 0.0;
  double bound = 0.0;
};

struct ExactSwiglu {
  Bounded product, d_up, d_gate;
};

/// silu(gate) * up and, for a gradient `d_product` of it, those of up and of gate. `d_gate` is found by differentiating
/// the product by complex step.
ExactSwiglu ExactSwigluOf(double up, double gate, double d_product);

}  // namespace coat
