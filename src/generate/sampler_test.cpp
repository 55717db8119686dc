#include "generate/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "base/error.h"
#include "numerics/philox.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

const std::vector<float> kLogits = {0.5f, 2.0f, -1.0f, 2.0f, 1.0f};

std::map<std::int32_t, int> Count(const SamplingOptions& options, int draws) {
  Sampler sampler(options);
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sampler.Choose(kLogits, i)];
  return counts;
}

/// Expects shares within five standard deviations of these probabilities, and no others.
void ExpectShares(const SamplingOptions& options, const std::map<std::int32_t, double>& weights) {
  constexpr int kDraws = 100'000;
  double total = 0.0;
  for (const auto& [id, weight] : weights) total += weight;
  const std::map<std::int32_t, int> counts = Count(options, kDraws);
  EXPECT_EQ(counts.size(), weights.size());
  for (const auto& [id, count] : counts) {
    ASSERT_TRUE(weights.contains(id)) << id;
    const double p = weights.at(id) / total;
    EXPECT_NEAR(count, p * kDraws, 5.0 * std::sqrt(kDraws * p * (1.0 - p)) + 1e-9) << id;
  }
}

std::map<std::int32_t, double> Weights(std::initializer_list<std::int32_t> ids, double temperature) {
  std::map<std::int32_t, double> weights;
  for (const std::int32_t id : ids) {
    weights[id] = std::exp(static_cast<double>(kLogits[static_cast<std::size_t>(id)]) / temperature);
  }
  return weights;
}

TEST(Sampler, TakesTheFirstOfTheLargestAtTemperatureZero) {
  EXPECT_EQ(Sampler({.temperature = 0.0}).Choose(kLogits, 0), 1);
  EXPECT_EQ(Sampler({.temperature = 0.0, .seed = 9}).Choose(kLogits, 7), 1);
}

TEST(Sampler, DrawsByTheSoftmaxOfLogitsOverTemperature) {
  for (const double temperature : {0.3, 1.0, 2.5}) {
    ExpectShares({.temperature = temperature, .seed = 1}, Weights({0, 1, 2, 3, 4}, temperature));
  }
}

// As transformers, which leaves out only what is below the k-th largest.
TEST(Sampler, TopKKeepsTheLargestAndAllThatEqualTheLastOfThem) {
  ExpectShares({.top_k = 1}, Weights({1, 3}, 1.0));
  ExpectShares({.top_k = 2}, Weights({1, 3}, 1.0));
  ExpectShares({.top_k = 3, .seed = 3}, Weights({1, 3, 4}, 1.0));
  ExpectShares({.top_k = 50}, Weights({0, 1, 2, 3, 4}, 1.0));
}

TEST(Sampler, TopKAndTopPTakeTies) {
  const std::vector<float> logits = {1.0f, 0.0f, 1.0f, 0.0f, 0.0f, 1.0f, -50.0f};
  const auto drawn = [&](const SamplingOptions& options) {
    Sampler sampler(options);
    std::set<std::int32_t> ids;
    for (int i = 0; i < 1000; ++i) ids.insert(sampler.Choose(logits, i));
    return ids;
  };
  using Ids = std::set<std::int32_t>;
  for (const int top_k : {1, 2, 3}) EXPECT_EQ(drawn({.top_k = top_k}), (Ids{0, 2, 5})) << top_k;
  for (const int top_k : {4, 5, 6}) EXPECT_EQ(drawn({.top_k = top_k}), (Ids{0, 1, 2, 3, 4, 5})) << top_k;
  // 0.244 of the probability each of the three, of which top_k 1 leaves all: a third.
  EXPECT_EQ(drawn({.top_k = 1, .top_p = 0.3}), Ids{0});
  EXPECT_EQ(drawn({.top_k = 1, .top_p = 0.5}), (Ids{0, 2}));
}

TEST(Sampler, TopPKeepsTheFewestThatReachTheProbability) {
  // Probabilities: 0.3695 twice, 0.1359, 0.0825, 0.0184... of ids 1, 3, 4, 0, 2.
  ExpectShares({.top_p = 0.3}, Weights({1}, 1.0));
  ExpectShares({.top_p = 0.5}, Weights({1, 3}, 1.0));
  ExpectShares({.top_p = 0.8}, Weights({1, 3, 4}, 1.0));
  ExpectShares({.top_p = 1e-300}, Weights({1}, 1.0));
  ExpectShares({.top_p = 0.99999}, Weights({0, 1, 2, 3, 4}, 1.0));
}

TEST(Sampler, TopPCountsWithinTopK) {
  // Of ids 1, 3 and 4 the first two have 0.845 of the probability.
  ExpectShares({.top_k = 3, .top_p = 0.84}, Weights({1, 3}, 1.0));
  ExpectShares({.top_k = 3, .top_p = 0.85}, Weights({1, 3, 4}, 1.0));
}

/// The token as the definition has it: weights in double precision, all tokens by id, or some by logit.
std::int32_t ChooseFromAll(const SamplingOptions& options, const std::vector<float>& logits, double uniform) {
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [&](std::int32_t id) { return static_cast<double>(logits[static_cast<std::size_t>(id)]); };
  const bool keeps_all = options.top_p == 1.0 && (options.top_k == 0 || options.top_k >= std::ssize(ids));
  if (!keeps_all) {
    std::stable_sort(ids.begin(), ids.end(), [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
  }
  if (options.top_k > 0 && options.top_k < std::ssize(ids)) {
    const double least = logit(ids[static_cast<std::size_t>(options.top_k) - 1]);
    std::erase_if(ids, [&](std::int32_t id) { return logit(id) < least; });
  }
  const double largest = *std::max_element(logits.begin(), logits.end());
  const auto weight = [&](std::int32_t id) { return std::exp((logit(id) - largest) / options.temperature); };
  double total = 0.0;
  for (const std::int32_t id : ids) total += weight(id);
  double sum = 0.0;
  std::size_t kept = 0;
  while (kept < ids.size() && sum < options.top_p * total) sum += weight(ids[kept++]);
  double left = uniform * sum;
  for (std::size_t i = 0; i < kept; ++i) {
    left -= weight(ids[i]);
    if (left < 0.0) return ids[i];
  }
  return ids[kept - 1];
}

// As many tokens as models have, of which only some are put in order, or none.
TEST(Sampler, ChoosesAmongManyAsAmongAllInOrder) {
  std::mt19937 noise(5);
  std::normal_distribution<float> normal;
  for (const float spread : {0.01f, 1.0f, 6.0f}) {
    std::vector<float> logits(20'011);
    for (float& logit : logits) logit = spread * normal(noise);
    for (std::size_t i = 0; i < logits.size(); i += 3) logits[i] = std::round(8.0f * logits[i]) / 8.0f;  // ties
    for (const SamplingOptions& options :
         {SamplingOptions{.temperature = 0.7}, SamplingOptions{.temperature = 1.0, .top_k = 20'011},
          SamplingOptions{.temperature = 3.0, .top_p = 0.999}, SamplingOptions{.temperature = 1.0, .top_k = 40},
          SamplingOptions{.temperature = 0.05, .top_k = 5000},
          SamplingOptions{.temperature = 1.3, .top_k = 1000, .top_p = 0.6}}) {
      Sampler sampler(options);
      for (std::int64_t i = 0; i < 10; ++i) {
        const auto words = Philox({static_cast<std::uint32_t>(i), 0, 0, 0}, {0, 0});
        const double uniform =
            static_cast<double>((static_cast<std::uint64_t>(words[1]) << 32 | words[0]) >> 11) * 0x1p-53;
        EXPECT_EQ(sampler.Choose(logits, i), ChooseFromAll(options, logits, uniform)) << spread << ", " << i;
      }
    }
  }
}

TEST(Sampler, DependsOnSeedAndIndexAlone) {
  Sampler one({.seed = 5});
  Sampler same({.seed = 5});
  Sampler other({.seed = 6});
  int differences = 0;
  for (std::int64_t i = 0; i < 100; ++i) {
    const std::int32_t token = one.Choose(kLogits, i);
    EXPECT_EQ(token, same.Choose(kLogits, i));
    differences += token != other.Choose(kLogits, i) ? 1 : 0;
  }
  EXPECT_GT(differences, 10);
  EXPECT_EQ(one.Choose(kLogits, 3), same.Choose(kLogits, 3));
}

TEST(Sampler, TakesExtremeLogits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Sampler({}).Choose(std::vector<float>{-kInfinity, 3e38f, -3e38f}, 0), 1);
  EXPECT_EQ(Sampler({.temperature = 1e-300}).Choose(kLogits, 0) % 2, 1);
  EXPECT_EQ(Sampler({}).Choose(std::vector<float>{7.0f}, 0), 0);
}

TEST(Sampler, RefusesWhatTemperatureZeroWouldIgnore) {
  const auto error = [](const SamplingOptions& options) {
    return ErrorOf<UsageError>([&] { Sampler sampler(options); });
  };
  ExpectParts(error({.temperature = 0.0, .top_k = 3}),
              {"temperature: found 0", "beside top_k 3", "accepted: a temperature above 0, or no top_k and top_p"});
  ExpectParts(error({.temperature = 0.0, .top_p = 0.5}), {"temperature: found 0", "beside top_p 0.5"});
  EXPECT_EQ(Sampler({.temperature = 0.0, .top_k = 0, .top_p = 1.0}).Choose(kLogits, 0), 1);
}

TEST(Sampler, RefusesLogitsThatAreNoNumbers) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto error = [](const std::vector<float>& logits) {
    return ErrorOf<Error>([&] { Sampler({.temperature = 0.0}).Choose(logits, 0); });
  };
  EXPECT_EQ(error({1.0f, std::numeric_limits<float>::quiet_NaN()}), "the logit of token 1 is not a number");
  EXPECT_EQ(error({1.0f, kInfinity}), "the largest logit is inf");
  EXPECT_EQ(error({-kInfinity}), "the largest logit is -inf");
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto error = [](const SamplingOptions& options) { return ErrorOf<UsageError>([&] { Sampler{options}; }); };
  for (const double temperature : {-1.0, nan, std::numeric_limits<double>::infinity()}) {
    ExpectParts(error({.temperature = temperature}), {"temperature: found ", "accepted: 0"});
  }
  ExpectParts(error({.top_k = -1}), {"top_k: found -1"});
  for (const double top_p : {0.0, -0.5, 1.5, nan}) ExpectParts(error({.top_p = top_p}), {"top_p: found "});
}

}  // namespace
}  // namespace coat
