#pragma once
// How far two float32 computations of the same model may differ by their roundings alone.
//
// A sum of n terms of random signs is made in n steps, of which step k rounds a partial sum that is sqrt(k / n) of the
// whole: by 2^-24 / sqrt(3) of it, a root mean square over uniformly distributed errors from above. Together that is
// 2^-24 sqrt(n / 6) of the sum. Sums in several lanes round less. The errors of products one after the other are
// independent, so their squares add up, here with all of the residual stream as if it were the part that has the error.

#include <cmath>

#include "base/dtype.h"
#include "config/model_config.h"

namespace coat {

/// Root mean square of the errors of the logits over theirs, for sequences of this length.
inline double ForwardRounding(const ModelConfig& model, double length) {
  const auto width = static_cast<double>(model.d_model);
  const double attention = static_cast<double>(model.HeadSize()) + length;
  const double of_layer = 3.0 * width + attention + static_cast<double>(model.HiddenWidth());
  return 0x1p-24 * std::sqrt((static_cast<double>(model.n_layers) * of_layer + width) / 6.0);
}

/// The same where weights and activations are of the type `compute`.
///
/// In bf16, products are exact beside the roundings of what they give: of norm, queries with keys and values, their
/// rotation, scores' exponentials, attention, branch with sum, norm, up and gate, product, branch and sum in each
/// layer, and of the last norm, one after the other. A rounding is off by 2^-9 / sqrt(3) of a number to twice as much,
/// root mean square, by its place between two powers of two. Here it is the lesser: only the branch's part of the
/// stream has most of these errors, which is to make up for that.
inline double LogitRounding(const ModelConfig& model, double length, DType compute) {
  if (compute == DType::kF32) return ForwardRounding(model, length);
  return 0x1p-9 / std::sqrt(3.0) * std::sqrt(11.0 * static_cast<double>(model.n_layers) + 1.0);
}

/// The same of a parameter's gradient, summed over this many tokens.
inline double GradientRounding(const ModelConfig& model, double length, double tokens) {
  const auto width = static_cast<double>(model.d_model);
  const double attention = 2.0 * (static_cast<double>(model.HeadSize()) + length);
  const double of_layer =
      static_cast<double>(model.QkvWidth()) + 2.0 * width + attention + static_cast<double>(model.FeedForwardWidth());
  const double of_head = static_cast<double>(model.EmbeddingRows());
  const double backward =
      0x1p-24 * std::sqrt((static_cast<double>(model.n_layers) * of_layer + of_head + tokens) / 6.0);
  return std::hypot(ForwardRounding(model, length), backward);
}

/// Two computations' errors are independent.
inline const double kOfTwo = std::sqrt(2.0);

/// Standard deviations that no error among some hundred thousand exceeds.
inline constexpr double kStandardDeviations = 6.0;

}  // namespace coat
