// Other implementations' float32 results on tiny models: logits, loss, gradients. scripts/extract_golden.py and
// scripts/make_olmo2_golden.py describe the files.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "checkpoint/safetensors.h"
#include "models/olmo.h"
#include "tests/support/rounding.h"
#include "tests/support/source_dir.h"
#include "tests/support/tiny_olmo.h"
#include "tests/support/tiny_olmo2.h"
#include "tests/support/whole_text.h"

namespace coat {
namespace {

constexpr std::int64_t kSequences = 4;
constexpr std::int64_t kLength = 128;
constexpr std::int64_t kTokens = kSequences * kLength;

struct Arenas {
  Arena masters, gradients, weights, saved, scratch;
};

struct Golden {
  std::string name;
  ModelConfig config;
  std::int64_t gradient_step;  // of a matrix, every so many rows are in the file; a vector is there whole
};

/// A tiny model with the weights and tokens of its file, in float32.
class GoldenOlmo : public testing::TestWithParam<Golden> {
 protected:
  GoldenOlmo()
      : golden_(SourceDir() + "/tests/golden/" + GetParam().name + ".safetensors"),
        ctx_(DeviceKind::kCpu, 2),
        arenas_{Bound("masters"), Bound("gradients"), Bound("weights"), Bound("saved"), Bound("scratch")},
        model_(GetParam().config, PlainRecipe(DType::kF32, DType::kF32, WeightCache::kNone)) {
    Arena exchange = Arena::Measuring("exchange");
    model_.LayOut(ctx_, {}, arenas_.masters, arenas_.gradients, arenas_.weights, exchange);
    for (const Parameter& parameter : model_.parameters()) {
      const std::span<const std::byte> bytes = golden_.Bytes(parameter.name);
      EXPECT_EQ(static_cast<std::int64_t>(bytes.size()), parameter.value.bytes()) << parameter.name;
      std::memcpy(parameter.value.data(), bytes.data(), bytes.size());
    }
    ids_ = arenas_.saved.Tensor("ids", {kTokens}, DType::kI32);
    labels_ = arenas_.saved.Tensor("labels", {kTokens}, DType::kI32);
    const std::span<const std::byte> tokens = golden_.Bytes("tokens", "I32", {kSequences, kLength});
    std::memcpy(ids_.data(), tokens.data(), tokens.size());
    for (std::int64_t i = 0; i < kTokens; ++i) {
      labels_.As<std::int32_t>()[i] = i % kLength == kLength - 1 ? -100 : ids_.As<std::int32_t>()[i + 1];
    }
    model_.RefreshWeights(ctx_);
  }

  static Arena Bound(const char* name) { return Arena::Bound(name, Context(DeviceKind::kCpu, 1), 16 << 20); }
  std::vector<float> Floats(const std::string& name) const {
    const std::span<const std::byte> bytes = golden_.Bytes(name);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  SafetensorsReader golden_;
  Context ctx_;
  Arenas arenas_;
  Olmo model_;
  TensorView ids_, labels_;
};

TEST_P(GoldenOlmo, LogitsAgreeWithinTheirRoundings) {
  const std::span<const std::int32_t> text(ids_.As<std::int32_t>(), kLength);
  const std::vector<float> got = LogitsBehind(std::vector<std::int64_t>{0, 32, 64, 96}, text, model_, ctx_);
  const std::vector<float> expected = Floats("logits");  // every 32nd position of sequence 0
  ASSERT_EQ(expected.size(), got.size());
  double largest = 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(got[i]) - expected[i]));
    squares += static_cast<double>(expected[i]) * expected[i];
  }
  const double size = std::sqrt(squares / static_cast<double>(expected.size()));
  EXPECT_LT(largest, kStandardDeviations * kOfTwo * ForwardRounding(GetParam().config, kLength) * size);
}

TEST_P(GoldenOlmo, LossAndEveryGradientAgree) {
  MicroBatch batch;
  batch.ids = ids_;
  batch.sequences = kSequences;
  batch.terms.labels = labels_;
  batch.terms.loss = arenas_.saved.Tensor("loss", {kTokens}, DType::kF32);
  batch.terms.z_squared = arenas_.saved.Tensor("z_squared", {kTokens}, DType::kF32);
  const TensorView weights = arenas_.saved.Tensor("loss.weights", {2}, DType::kF32);
  weights.As<float>()[0] = 1.0f / (kSequences * (kLength - 1));
  weights.As<float>()[1] = 0.0f;
  batch.terms.weights = weights;
  model_.ForwardBackward(ctx_, batch, arenas_.saved, arenas_.scratch);

  double loss = 0.0;
  for (std::int64_t i = 0; i < kTokens; ++i) loss += batch.terms.loss.As<float>()[i];
  // The file's mean is float32, half of whose last place is 2^-23 for losses of 4 to 8, and was added up in float32
  // over 508 positions: in lanes, so that some ten roundings by up to 2^-24 of 8 come one after the other. What logits
  // are off by averages out.
  EXPECT_NEAR(loss / (kSequences * (kLength - 1)), Floats("loss")[0], 0x1p-23 + 8 * 0x1p-24 * std::sqrt(10.0 / 3.0));

  for (const Parameter& parameter : model_.parameters()) {
    const std::vector<float> expected = Floats("grad." + parameter.name);
    const bool is_matrix = parameter.shape.rank() == 2;
    const std::int64_t width = is_matrix ? parameter.shape[1] : 1;
    const std::int64_t step = is_matrix ? GetParam().gradient_step : 1;
    ASSERT_EQ(static_cast<std::int64_t>(expected.size()), (parameter.shape[0] + step - 1) / step * width);
    double error = 0.0;
    double norm = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::int64_t row = static_cast<std::int64_t>(i) / width * step;
      const double got = parameter.grad.As<float>()[row * width + static_cast<std::int64_t>(i) % width];
      error += (got - expected[i]) * (got - expected[i]);
      norm += static_cast<double>(expected[i]) * expected[i];
    }
    EXPECT_GT(norm, 0.0) << parameter.name;
    // Twice, for errors that a parameter's elements have in common.
    EXPECT_LT(std::sqrt(error / norm), 2.0 * kOfTwo * GradientRounding(GetParam().config, kLength, kTokens))
        << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, GoldenOlmo,
                         testing::Values(Golden{"olmo_tiny", TinyOlmo(), 128}, Golden{"olmo2_tiny", TinyOlmo2(), 8}),
                         [](const testing::TestParamInfo<Golden>& info) { return info.param.name; });

}  // namespace
}  // namespace coat
