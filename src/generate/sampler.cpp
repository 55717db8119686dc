#include "generate/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "numerics/elementary.h"
#include "numerics/philox.h"

namespace coat {

namespace {

/// Numbers that loops take together, so that compilers make vectors of them.
constexpr std::size_t kLanes = 16;
/// Logits are put in order band after band, as far as they are needed: those of a band differ by less than this many
/// temperatures, so their weights by a factor of 16. The last band has all that are left, whose weights are 0.
constexpr double kBand = 2.772588722239781;
constexpr int kBands = 40;

/// Throws Error unless the largest is a number and finite, and all are numbers.
float LargestOf(std::span<const float> logits) {
  std::array<float, kLanes> largest;
  largest.fill(-std::numeric_limits<float>::infinity());
  std::array<std::uint8_t, kLanes> is_nan = {};
  const auto take = [&](std::size_t lane, float logit) {
    largest[lane] = logit > largest[lane] ? logit : largest[lane];
    is_nan[lane] |= logit != logit ? 1 : 0;
  };
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) take(lane, logits[i + lane]);
  }
  for (; i < logits.size(); ++i) take(0, logits[i]);
  if (std::find(is_nan.begin(), is_nan.end(), 1) != is_nan.end()) {
    const auto nan = std::find_if(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); });
    throw Error(fmt::format("the logit of token {} is not a number", nan - logits.begin()));
  }
  const float best = *std::max_element(largest.begin(), largest.end());
  if (!std::isfinite(best)) throw Error(fmt::format("the largest logit is {}", best));
  return best;
}

}  // namespace

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
  const float largest = LargestOf(logits);
  if (options_.temperature == 0.0) {
    return static_cast<std::int32_t>(std::find(logits.begin(), logits.end(), largest) - logits.begin());
  }
  double total = Weigh(logits, largest);
  std::size_t kept = logits.size();
  const bool some_by_k = options_.top_k > 0 && static_cast<std::size_t>(options_.top_k) < kept;
  if (!some_by_k && options_.top_p == 1.0) return DrawFromAll(Uniform(index) * total);
  likeliest_.clear();
  bands_ = 0;
  const auto has = [&](std::size_t count) {
    while (likeliest_.size() < count && ExtendLikeliest(logits, largest)) {
    }
    return likeliest_.size() >= count;
  };
  if (some_by_k) {
    kept = static_cast<std::size_t>(options_.top_k);
    has(kept);
    while (kept < likeliest_.size() && likeliest_[kept].logit == likeliest_[kept - 1].logit) ++kept;
    total = 0.0;
    for (std::size_t i = 0; i < kept; ++i) total += likeliest_[i].weight;
  }
  if (options_.top_p < 1.0) {
    double sum = 0.0;
    std::size_t count = 0;
    while (count < kept && sum < options_.top_p * total && has(count + 1)) sum += likeliest_[count++].weight;
    kept = count;
    total = sum;
  }
  double left = Uniform(index) * total;
  for (std::size_t i = 0; i < kept && has(i + 1); ++i) {
    left -= likeliest_[i].weight;
    if (left < 0.0) return likeliest_[i].id;
  }
  return likeliest_[std::min(kept, likeliest_.size()) - 1].id;  // all of the probability was used up by roundings
}

std::int32_t Sampler::DrawFromAll(double sum) const {
  std::size_t last = 0;
  for (std::size_t id = 0; id < weights_.size(); ++id) {
    if (weights_[id] == 0.0f) continue;
    sum -= static_cast<double>(weights_[id]);
    if (sum < 0.0) return static_cast<std::int32_t>(id);
    last = id;
  }
  return static_cast<std::int32_t>(last);  // all of the probability was used up by roundings
}

double Sampler::Weigh(std::span<const float> logits, float largest) {
  weights_.resize(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double difference = static_cast<double>(logits[i]) - static_cast<double>(largest);
    weights_[i] = Exp(static_cast<float>(difference / options_.temperature));
  }
  std::array<double, kLanes> sums = {};
  std::size_t i = 0;
  for (; i + kLanes <= weights_.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += static_cast<double>(weights_[i + lane]);
  }
  for (; i < weights_.size(); ++i) sums[0] += static_cast<double>(weights_[i]);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

bool Sampler::ExtendLikeliest(std::span<const float> logits, float largest) {
  if (likeliest_.size() == logits.size()) return false;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto end_of = [&](int band) {
    if (band == kBands - 1) return -kInfinity;
    return static_cast<float>(static_cast<double>(largest) - options_.temperature * kBand * (band + 1));
  };
  const float above = bands_ == 0 ? kInfinity : end_of(bands_ - 1);
  const float low = end_of(bands_);
  ++bands_;
  const auto is_in = [&](float logit) { return logit >= low && logit < above; };
  const auto first = static_cast<std::ptrdiff_t>(likeliest_.size());
  for (std::size_t begin = 0; begin < logits.size(); begin += kLanes) {
    const std::span<const float> some = logits.subspan(begin, std::min(kLanes, logits.size() - begin));
    int found = 0;
    for (const float logit : some) found += is_in(logit) ? 1 : 0;
    if (found == 0) continue;
    for (std::size_t i = begin; i < begin + some.size(); ++i) {
      if (is_in(logits[i])) likeliest_.push_back({logits[i], static_cast<std::int32_t>(i), weights_[i]});
    }
  }
  std::sort(likeliest_.begin() + first, likeliest_.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  return true;
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
