// Generation on the GPU: against the CPU, against the whole text at once, recorded against started one by one.

#include "generate/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/gpu/gpu.h"
#include "tests/support/noisy_parameters.h"
#include "tests/support/rounding.h"
#include "tests/support/small_model.h"

namespace coat {
namespace {

struct Case {
  std::string name;
  ModelConfig config;
  DType compute;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const DType compute : {DType::kF32, DType::kBF16}) {
    const std::string type(NameOf(compute));
    cases.push_back({"olmo_" + type, SmallModel::Config(), compute});
    cases.push_back({"olmo2_" + type, SmallModel::Olmo2Config(), compute});
    cases.back().config.n_kv_heads = 2;
  }
  for (Case& of : cases) of.config.max_sequence_length = 300;
  return cases;
}

/// The logits of every token of the same text, of which the first `first` are given together.
std::vector<std::vector<float>> Logits(const Case& of, Context ctx, bool cache, std::size_t first) {
  Generator generator(of.config, {.compute = of.compute, .positions = 300, .cache = cache}, std::move(ctx));
  std::mt19937 noise(3);
  FillWithNoise(generator, noise);
  std::vector<std::int32_t> text(first + 12);
  for (std::int32_t& id : text) id = static_cast<std::int32_t>(noise() % 250);
  std::vector<std::vector<float>> all;
  std::span<const float> logits = generator.Start(std::span(text).first(first));
  for (std::size_t n = first;; ++n) {
    all.emplace_back(logits.begin(), logits.end());
    if (n == text.size()) return all;
    logits = generator.Append(text[n]);
  }
}

/// `tolerance` is relative to the logits' root mean square.
void ExpectClose(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t n = 0; n < a.size(); ++n) {
    double largest = 0.0;
    double squares = 0.0;
    for (std::size_t i = 0; i < a[n].size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(a[n][i]) - b[n][i]));
      squares += static_cast<double>(a[n][i]) * a[n][i];
    }
    ASSERT_LE(largest, tolerance * std::sqrt(squares / static_cast<double>(a[n].size()))) << "token " << n;
  }
}

class GpuGeneratorTest : public testing::TestWithParam<Case> {};

TEST_P(GpuGeneratorTest, HasTheLogitsOfTheCpuAndOfTheWholeText) {
  const double tolerance = kStandardDeviations * kOfTwo * LogitRounding(GetParam().config, 300.0, GetParam().compute);
  for (const std::size_t first : {1u, 64u, 255u, 288u}) {
    const auto cached = Logits(GetParam(), OpenGpu(), true, first);
    ExpectClose(cached, Logits(GetParam(), Context(DeviceKind::kCpu, 2), true, first), tolerance);
    ExpectClose(cached, Logits(GetParam(), OpenGpu(), false, first), tolerance);
  }
}

TEST_P(GpuGeneratorTest, RecordedWorkGivesTheSameBytes) {
  Context recorded = OpenGpu();
  Context one_by_one = OpenGpu({.graphs = false});
  const std::shared_ptr<Device> device = recorded.backend();
  const auto logits = Logits(GetParam(), std::move(recorded), true, 70);
  // The same algorithms for matrix products, which are chosen by time.
  EXPECT_EQ(one_by_one.backend()->ImportTuning(device->ExportTuning()), "");
  EXPECT_EQ(logits, Logits(GetParam(), std::move(one_by_one), true, 70));
}

INSTANTIATE_TEST_SUITE_P(All, GpuGeneratorTest, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

}  // namespace
}  // namespace coat
