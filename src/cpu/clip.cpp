#include "ops/clip.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace coat::cpu {

namespace {

constexpr float kEps = 1e-6f;

/// min(1, quotient), and 1 for NaN.
float Coefficient(float quotient) {
  return quotient < 1.0f ? quotient : 1.0f;
}

}  // namespace

void TotalNorm(Context&, const TotalNormArgs& args) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < args.norms.elements(); ++i) {
    const double norm = args.norms.As<float>()[i];
    sum += norm * norm;
  }
  const bool nan = std::isnan(sum);
  *args.total_norm.As<float>() = nan ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(std::sqrt(sum));
}

void ClipCoefficients(Context&, const ClipCoefficientsArgs& args) {
  const float coefficient = Coefficient(args.max_norm / (*args.total_norm.As<float>() + kEps));
  std::fill_n(args.coefficients.As<float>(), args.coefficients.elements(), coefficient);
}

void AdaptiveClipCoefficients(Context&, const AdaptiveClipCoefficientsArgs& args) {
  float* averages = args.norm_averages.As<float>();
  for (std::int64_t i = 0; i < args.norms.elements(); ++i) {
    const float norm = args.norms.As<float>()[i];
    const float average = averages[i] > 0.0f ? averages[i] : norm;
    const float coefficient = Coefficient(args.max_norm_ratio * average / (norm + kEps));
    args.coefficients.As<float>()[i] = coefficient;
    averages[i] = average + (1.0f - args.beta) * (coefficient * norm - average);
  }
}

}  // namespace coat::cpu
