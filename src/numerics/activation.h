#pragma once
// SwiGLU's scalar formulas, in float32.

#include "numerics/elementary.h"
#include "numerics/host_device.h"

namespace coat {

/// 1 / (1 + e^-x).
COAT_HOST_DEVICE inline float Sigmoid(float x) {
  return 1.0f / (1.0f + Exp(-x));
}

/// SwiGLU of one element: silu(gate) * up.
COAT_HOST_DEVICE inline float Swiglu(float up, float gate) {
  return gate * Sigmoid(gate) * up;
}

struct SwigluGradient {
  float product;  // silu(gate) * up
  float d_up;
  float d_gate;
};

/// The product and the gradients of up and gate, from the gradient of the product.
COAT_HOST_DEVICE inline SwigluGradient SwigluBackwardElement(float up, float gate, float d_product) {
  const float sigmoid = Sigmoid(gate);
  const float silu = gate * sigmoid;
  const float d_silu = sigmoid + silu * (1.0f - sigmoid);
  return {silu * up, silu * d_product, d_silu * (up * d_product)};
}

}  // namespace coat
