#include "generate/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/noisy_parameters.h"
#include "tests/support/rounding.h"
#include "tests/support/small_model.h"
#include "tests/support/whole_text.h"

namespace coat {
namespace {

struct Case {
  std::string name;
  ModelConfig config;
};

std::vector<Case> Cases() {
  std::vector<Case> cases = {{"olmo", SmallModel::Config()}, {"olmo2", SmallModel::Olmo2Config()}};
  for (const Case& with : std::vector<Case>(cases)) {
    ModelConfig config = with.config;
    config.n_kv_heads = 2;
    config.weight_tying = !config.weight_tying;
    config.scale_logits = true;
    cases.push_back({with.name + "_other", config});
  }
  cases[2].config.clip_qkv = 0.5;
  for (Case& of : cases) of.config.max_sequence_length = 150;
  return cases;
}

void Fill(const Generator& generator) {
  std::mt19937 noise(3);
  FillWithNoise(generator, noise);
}

std::vector<std::int32_t> Text(std::int64_t length, std::int64_t vocabulary) {
  std::mt19937 generator(11);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(length));
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(generator() % static_cast<unsigned>(vocabulary));
  return ids;
}

class GeneratorTest : public testing::TestWithParam<Case> {};

/// The model of a generator that was filled, which computes a text at once.
class WholeText {
 public:
  WholeText(const ModelConfig& config, DType compute)
      : config_(config), model_(config, PlainRecipe(compute, compute, WeightCache::kNone)) {
    const Generator of(config, {.compute = compute, .positions = config.max_sequence_length},
                       Context(DeviceKind::kCpu, 2));
    Fill(of);
    model_.LayOutForInference(ctx_, masters_, weights_);
    for (std::size_t p = 0; p < model_.parameters().size(); ++p) {
      ctx_.Copy(of.model().parameters()[p].value, model_.parameters()[p].value);
    }
    model_.RefreshWeights(ctx_);
  }

  /// Behind all tokens, [T, E], as generation has them.
  std::vector<float> Logits(const std::vector<std::int32_t>& text) {
    std::vector<std::int64_t> tokens(text.size());
    std::iota(tokens.begin(), tokens.end(), 0);
    std::vector<float> values = LogitsBehind(tokens, text, model_, ctx_);
    const float scale = config_.scale_logits ? 1.0f / std::sqrt(static_cast<float>(config_.d_model)) : 1.0f;
    for (float& value : values) value *= scale;
    return values;
  }

  /// Of each token but the first, behind those before it, as training and evaluation have them.
  std::vector<float> Losses(const std::vector<std::int32_t>& text) {
    Arena batch = Bound("batch"), saved = Bound("saved"), scratch = Bound("scratch");
    const Shape tokens = {static_cast<std::int64_t>(text.size())};
    std::vector<std::int32_t> next(text.begin() + 1, text.end());
    next.push_back(-100);
    const std::vector<float> factors = {1.0f, 0.0f};
    const TensorView ids = batch.Tensor("ids", tokens, DType::kI32);
    const TensorView labels = batch.Tensor("labels", tokens, DType::kI32);
    const TensorView loss = batch.Tensor("loss", tokens, DType::kF32);
    const TensorView z_squared = batch.Tensor("z_squared", tokens, DType::kF32);
    const TensorView weights = batch.Tensor("weights", {2}, DType::kF32);
    ctx_.Upload(text.data(), ids);
    ctx_.Upload(next.data(), labels);
    ctx_.Upload(factors.data(), weights);
    MicroBatch micro_batch;
    micro_batch.ids = ids;
    micro_batch.sequences = 1;
    micro_batch.terms = {.labels = labels, .loss = loss, .z_squared = z_squared, .weights = weights};
    model_.Forward(ctx_, micro_batch, saved, scratch);
    return {loss.As<float>(), loss.As<float>() + text.size() - 1};
  }

 private:
  static Arena Bound(const char* name) { return Arena::Bound(name, Context(DeviceKind::kCpu, 1), 16 << 20); }

  ModelConfig config_;
  Context ctx_{DeviceKind::kCpu, 2};
  Arena masters_ = Bound("masters"), weights_ = Bound("weights");
  Olmo model_;
};

float LargestDifference(std::span<const float> a, std::span<const float> b) {
  float largest = 0.0f;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

double RootMeanSquare(std::span<const float> values) {
  double squares = 0.0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Rounding apart, token by token is the whole text at once: with and without the cache, across the edges of the units
// that the first tokens come in, up to the last position of the model.
TEST_P(GeneratorTest, TokenByTokenGivesTheLogitsOfTheWholeText) {
  const ModelConfig& config = GetParam().config;
  const std::vector<std::int32_t> text = Text(config.max_sequence_length, config.vocab_size);
  for (const DType compute : {DType::kF32, DType::kBF16}) {
    const double tolerance =
        kStandardDeviations * kOfTwo * LogitRounding(config, static_cast<double>(config.max_sequence_length), compute);
    const std::vector<float> whole = WholeText(config, compute).Logits(text);
    for (const bool cache : {true, false}) {
      Generator generator(config, {.compute = compute, .positions = config.max_sequence_length, .cache = cache},
                          Context(DeviceKind::kCpu, 2));
      Fill(generator);
      for (const std::int64_t first : {1, 64, 65, 150}) {
        std::span<const float> logits = generator.Start(std::span(text).first(static_cast<std::size_t>(first)));
        for (std::int64_t n = first;; ++n) {
          ASSERT_EQ(static_cast<std::int64_t>(logits.size()), config.vocab_size);
          const auto expected =
              std::span(whole).subspan(static_cast<std::size_t>((n - 1) * config.EmbeddingRows()), logits.size());
          ASSERT_GT(RootMeanSquare(expected), 0.05);
          ASSERT_LE(LargestDifference(logits, expected), tolerance * RootMeanSquare(expected))
              << NameOf(compute) << " cache " << cache << " first " << first << " at " << n;
          if (n == config.max_sequence_length || (!cache && n > first + 2)) break;
          logits = generator.Append(text[static_cast<std::size_t>(n)]);
        }
      }
    }
  }
}

// Generation has passes of its own over the model: their logits are those that training takes its losses of. A loss is
// off by what two logits are.
TEST_P(GeneratorTest, TheLogitsHaveTheLossesOfTraining) {
  const ModelConfig& config = GetParam().config;
  const std::vector<std::int32_t> text = Text(config.max_sequence_length, config.vocab_size);
  for (const DType compute : {DType::kF32, DType::kBF16}) {
    const double tolerance = 2.0 * kStandardDeviations * kOfTwo *
                             LogitRounding(config, static_cast<double>(config.max_sequence_length), compute);
    WholeText whole(config, compute);
    const std::vector<float> logits = whole.Logits(text);
    const std::vector<float> losses = whole.Losses(text);
    const auto width = static_cast<std::size_t>(config.EmbeddingRows());
    for (std::size_t n = 0; n < losses.size(); ++n) {
      const auto behind = std::span(logits).subspan(n * width, width);
      double sum = 0.0;
      for (const float logit : behind) sum += std::exp(static_cast<double>(logit));
      const double loss = std::log(sum) - behind[static_cast<std::size_t>(text[n + 1])];
      ASSERT_NEAR(losses[n], loss, tolerance * RootMeanSquare(behind)) << NameOf(compute) << " at " << n;
    }
  }
}

TEST_P(GeneratorTest, GivesTheSameBytesOnAnyNumberOfThreads) {
  const ModelConfig& config = GetParam().config;
  const std::vector<std::int32_t> text = Text(20, config.vocab_size);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    Generator generator(config, {.positions = 30}, Context(DeviceKind::kCpu, threads));
    Fill(generator);
    generator.Start(text);
    const std::span<const float> logits = generator.Append(5);
    results.emplace_back(logits.begin(), logits.end());
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_P(GeneratorTest, ASecondTextKnowsNothingOfTheFirst) {
  const ModelConfig& config = GetParam().config;
  const std::vector<std::int32_t> text = Text(100, config.vocab_size);
  const auto after = [&](bool another) {
    Generator generator(config, {.positions = 120}, Context(DeviceKind::kCpu, 2));
    Fill(generator);
    if (another) {
      generator.Start(text);
      generator.Append(7);
    }
    generator.Start(std::span(text).subspan(3, 5));
    const std::span<const float> logits = generator.Append(9);
    EXPECT_EQ(generator.length(), 6);
    return std::vector<float>(logits.begin(), logits.end());
  };
  EXPECT_EQ(after(true), after(false));
}

// With the cache a token costs as much as one token: what was read is not read again, so that other embeddings of it
// change nothing. Without it they do.
TEST_P(GeneratorTest, ReadsNoTokenAgainWithTheCache) {
  const ModelConfig& config = GetParam().config;
  const std::vector<std::int32_t> text = {3, 17, 4, 99, 120, 31, 64, 65, 1, 208};
  const std::vector<std::int32_t> more = {7, 11, 5};
  for (const bool cache : {true, false}) {
    const auto after = [&](float factor) {
      Generator generator(config, {.positions = 20, .cache = cache}, Context(DeviceKind::kCpu, 2));
      Fill(generator);
      generator.Start(text);
      const TensorView embedding = generator.model().parameters().front().value;
      for (const std::int32_t id : text) {
        float* const row = embedding.As<float>() + id * config.d_model;
        for (std::int64_t column = 0; column < config.d_model; ++column) row[column] *= factor;
      }
      std::vector<float> logits;
      for (const std::int32_t id : more) {
        const std::span<const float> of_id = generator.Append(id);
        logits.insert(logits.end(), of_id.begin(), of_id.end());
      }
      return logits;
    };
    const std::vector<float> as_read = after(1.0f);
    const std::vector<float> negated = after(-1.0f);
    const bool is_same = as_read == negated;
    EXPECT_EQ(is_same, cache) << LargestDifference(as_read, negated);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GeneratorTest, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

TEST(Generator, RefusesWhatDoesNotFit) {
  const ModelConfig config = SmallModel::Config();  // 64 positions, 250 ids
  const auto make = [&](std::int64_t positions) {
    return std::make_unique<Generator>(config, GeneratorOptions{.positions = positions}, Context(DeviceKind::kCpu, 1));
  };
  ExpectParts(ErrorOf<ArgumentError>([&] { make(65); }), {"a sequence of 65 tokens; the model takes 1 to 64"});
  ExpectParts(ErrorOf<ArgumentError>([&] { make(0); }), {"a sequence of 0 tokens"});
  const auto generator = make(3);
  const auto start = [&](const std::vector<std::int32_t>& ids) {
    return ErrorOf<ArgumentError>([&] { generator->Start(ids); });
  };
  ExpectParts(start({}), {"begins with 0 tokens; there is room for 1 to 3"});
  ExpectParts(start({1, 2, 3, 4}), {"begins with 4 tokens"});
  ExpectParts(start({1, 250}), {"token 250; the model has tokens 0 to 249"});
  ExpectParts(start({-1}), {"token -1"});
  ExpectParts(ErrorOf<ArgumentError>([&] { generator->Append(1); }), {"appended to 0 of 3"});
  generator->Start(std::vector<std::int32_t>{1, 2});
  generator->Append(3);
  ExpectParts(ErrorOf<ArgumentError>([&] { generator->Append(4); }), {"appended to 3 of 3 tokens"});
}

TEST(Generator, MemoryFollowsTheTokensAndNotTheModelsRoom) {
  ModelConfig config = SmallModel::Config();
  const auto bytes = [&] {
    return Generator(config, GeneratorOptions{.positions = 30}, Context(DeviceKind::kCpu, 1)).bytes();
  };
  const std::int64_t small = bytes();
  config.max_sequence_length = 1'000'000;
  EXPECT_EQ(bytes(), small);
}

}  // namespace
}  // namespace coat
