#pragma once
// The choice of the next token.

#include <cstdint>
#include <span>
#include <vector>

namespace coat {

struct SamplingOptions {
  double temperature = 1.0;  // logits are divided by it; 0: the largest logit is taken
  std::int64_t top_k = 0;    // only the k largest logits, and those that equal the last of them; 0: all
  double top_p = 1.0;        // of those, only the fewest that together have at least this probability; in (0, 1]
  std::uint64_t seed = 0;
};

/// Chooses tokens from logits. The same logits, options and index give the same token on every machine.
///
/// Order and meaning of temperature, top_k and top_p are those of transformers' `generate`. Where they leave some out,
/// tokens are drawn in the order of their logits, among equal ones the smaller id first; else in the order of their
/// ids. The random number of token `index` is Philox(counter = index, key = seed), of 53 bits.
class Sampler {
 public:
  /// Throws UsageError for a temperature or top_k below 0 or not finite, and a top_p outside (0, 1],
  /// and for a temperature of 0 with top_k or top_p, which would have no effect.
  explicit Sampler(const SamplingOptions& options);

  /// The token `index` of a text, from the logits of all ids. Throws Error when the largest is not a number or
  /// infinite.
  std::int32_t Choose(std::span<const float> logits, std::int64_t index);

 private:
  struct Candidate {
    float logit;
    std::int32_t id;
    float weight;  // exp((logit - largest) / temperature)
  };

  /// The token where the sum of the weights, by id, exceeds `sum`.
  std::int32_t DrawFromAll(double sum) const;
  /// weights_ of all logits; returns their sum.
  double Weigh(std::span<const float> logits, float largest);
  /// Makes likeliest_ longer, unless it has all logits already: returns whether it could.
  bool ExtendLikeliest(std::span<const float> logits, float largest);
  double Uniform(std::int64_t index) const;

  SamplingOptions options_;
  std::vector<float> weights_;        // by id
  std::vector<Candidate> likeliest_;  // in order, as many as were needed
  int bands_ = 0;                     // of logits that likeliest_ has
};

}  // namespace coat
