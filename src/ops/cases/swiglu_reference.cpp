#include "ops/cases/swiglu_reference.h"

#include <cmath>
#include <complex>

#include "ops/cases/format_reference.h"

namespace coat {

namespace {

constexpr double kUnderflow = 0x1p-150;  // half of float32's smallest subnormal

/// gate / (1 + e^-gate) without overflow.
std::complex<double> Silu(std::complex<double> gate) {
  if (gate.real() > 0.0) return gate / (1.0 + std::exp(-gate));
  const std::complex<double> exponential = std::exp(gate);
  return gate * (exponential / (1.0 + exponential));
}

/// The error of Sigmoid: at most 3 units of roundoff (numerics/activation_test.cpp), and all of what is below 2^-126.
double SigmoidError(double gate, double sigmoid) {
  if (gate < -87.33) return sigmoid;
  return 3.0 * kFloatRoundoff * sigmoid;
}

}  // namespace

ExactSwiglu ExactSwigluOf(double up, double gate, double d_product) {
  constexpr double u = kFloatRoundoff;
  constexpr double kStep = 1e-30;
  constexpr double kSecondOrder = 1.0 + 64.0 * u;  // what products of errors can add
  const double sigmoid = gate > 0.0 ? 1.0 / (1.0 + std::exp(-gate)) : std::exp(gate) / (1.0 + std::exp(gate));
  const double opposite = gate > 0.0 ? std::exp(-gate) / (1.0 + std::exp(-gate)) : 1.0 / (1.0 + std::exp(gate));
  const double silu = Silu(gate).real();
  const double d_silu = Silu({gate, kStep}).imag() / kStep;

  const double sigmoid_error = SigmoidError(gate, sigmoid);
  // gate * sigmoid: the error of sigmoid and one rounding.
  const double silu_error = std::abs(gate) * sigmoid_error + u * std::abs(silu) + kUnderflow;
  // sigmoid + silu * (1 - sigmoid), where 1 - sigmoid rounds and the fused product and sum round once.
  const double d_silu_error = sigmoid_error + std::abs(silu) * (sigmoid_error + u * opposite) + opposite * silu_error +
                              u * std::abs(d_silu) + kUnderflow;

  ExactSwiglu result;
  result.product.exact = silu * up;
  result.product.bound = kSecondOrder * (std::abs(up) * (silu_error + u * std::abs(silu)) + kUnderflow);
  result.d_up.exact = silu * d_product;
  result.d_up.bound = kSecondOrder * (std::abs(d_product) * (silu_error + u * std::abs(silu)) + kUnderflow);
  // d_silu * (up * d_product): both products round.
  const double outer = up * d_product;
  result.d_gate.exact = d_silu * outer;
  result.d_gate.bound = kSecondOrder * (std::abs(outer) * (d_silu_error + 2.0 * u * std::abs(d_silu)) +
                                        kUnderflow * (std::abs(d_silu) + d_silu_error + 1.0));
  return result;
}

}  // namespace coat
