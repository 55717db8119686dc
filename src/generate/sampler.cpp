#include "generate/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "numerics/philox.h"

namespace coat {

Sampler::Sampler(const SamplingOptions& options) : options_(options) {
  if (!std::isfinite(options.temperature) || options.temperature < 0.0) {
    throw UsageError(fmt::format("temperature: found {}; accepted: 0 for the likeliest token, or a number above it",
                                 options.temperature));
  }
  if (options.top_k < 0) {
    throw UsageError(fmt::format("top_k: found {}; accepted: 0 for all tokens, or how many", options.top_k));
  }
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) {
    throw UsageError(fmt::format("top_p: found {}; accepted: above 0 and at most 1", options.top_p));
  }
  if (options.temperature == 0.0 && (options.top_k != 0 || options.top_p != 1.0)) {
    throw UsageError(fmt::format(
        "temperature: found 0, which takes the likeliest token, beside {}; accepted: a "
        "temperature above 0, or no top_k and top_p",
        options.top_k != 0 ? fmt::format("top_k {}", options.top_k) : fmt::format("top_p {}", options.top_p)));
  }
}

std::int32_t Sampler::Choose(std::span<const float> logits, std::int64_t index) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) throw Error(fmt::format("the logit of token {} is not a number", i));
    if (logits[i] > logits[best]) best = i;
  }
  if (!std::isfinite(logits[best])) throw Error(fmt::format("the largest logit is {}", logits[best]));
  if (options_.temperature == 0.0) return static_cast<std::int32_t>(best);
  KeepLikeliest(logits, logits[best]);
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  double left = Uniform(index) * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0.0) return candidate.id;
  }
  return candidates_.back().id;  // all of the probability was used up by roundings
}

void Sampler::KeepLikeliest(std::span<const float> logits, float largest) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double difference = static_cast<double>(logits[i]) - static_cast<double>(largest);
    candidates_.push_back({std::exp(difference / options_.temperature), static_cast<std::int32_t>(i)});
  }
  const auto likelier = [&](const Candidate& a, const Candidate& b) {
    const float first = logits[static_cast<std::size_t>(a.id)];
    const float second = logits[static_cast<std::size_t>(b.id)];
    return first != second ? first > second : a.id < b.id;
  };
  const auto all = static_cast<std::int64_t>(candidates_.size());
  const std::int64_t kept = options_.top_k > 0 ? std::min(options_.top_k, all) : all;
  std::partial_sort(candidates_.begin(), candidates_.begin() + kept, candidates_.end(), likelier);
  candidates_.resize(static_cast<std::size_t>(kept));
  if (options_.top_p == 1.0) return;
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  double sum = 0.0;
  std::size_t count = 0;
  while (count < candidates_.size() && sum < options_.top_p * total) sum += candidates_[count++].weight;
  candidates_.resize(count);
}

double Sampler::Uniform(std::int64_t index) const {
  const auto counter = static_cast<std::uint64_t>(index);
  const auto words =
      Philox({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0, 0},
             {static_cast<std::uint32_t>(options_.seed), static_cast<std::uint32_t>(options_.seed >> 32)});
  const std::uint64_t bits = (static_cast<std::uint64_t>(words[1]) << 32 | words[0]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace coat
