#include "optim/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "numerics/adamw.h"
#include "numerics/expansion.h"
#include "tests/support/test_parameters.h"

namespace coat {
namespace {

struct Kind {
  const char* name;
  OptimizerName optimizer = OptimizerName::kAdamW;
  bool quantized = false;
  bool selective = false;
  Fp8Format first = Fp8Format::kE4M3;
  Fp8Format second = Fp8Format::kE4M3;
  Expansion first_expansion = Expansion::kOn;
  Expansion second_expansion = Expansion::kOn;
  std::int64_t group = 128;
};

OptimizerConfig ConfigOf(const Kind& kind) {
  OptimizerConfig config;
  config.name = kind.optimizer;
  config.weight_decay = 0.1;
  config.eps = 1e-8;
  config.selective_updates = kind.selective;
  return config;
}

QuantizeOptimizerConfig QuantizeOf(const Kind& kind) {
  QuantizeOptimizerConfig config;
  if (kind.quantized) config.use_quantize_optimizer = QuantizeOptimizer::kCoatFp8AdamW;
  config.qgroup_size = kind.group;
  config.first_order_bit = kind.first;
  config.second_order_bit = kind.second;
  config.first_order_expansion = kind.first_expansion;
  config.second_order_expansion = kind.second_expansion;
  return config;
}

/// Three parameters, one of them not decayed, with an optimizer and its memory.
struct Training {
  explicit Training(const Kind& kind) {
    parameters.Add("b", {33, 17}, ParameterKind::kLinearWeight);
    parameters.Add("wte", {19, 8}, ParameterKind::kEmbedding);
    parameters.Add("a", {5, 1}, ParameterKind::kLinearWeight);
    Arena measuring_moments = Arena::Measuring("moments");
    Arena measuring_metadata = Arena::Measuring("metadata");
    MakeOptimizer(ConfigOf(kind), QuantizeOf(kind), parameters.all())->LayOut(measuring_moments, measuring_metadata);
    moments = Arena::Bound("moments", Context(DeviceKind::kCpu, 1), measuring_moments.peak_bytes());
    metadata = Arena::Bound("metadata", Context(DeviceKind::kCpu, 1), measuring_metadata.peak_bytes());
    optimizer = MakeOptimizer(ConfigOf(kind), QuantizeOf(kind), parameters.all());
    optimizer->LayOut(moments, metadata);
  }

  void Step(std::int64_t step, int threads = 2) {
    Context ctx(DeviceKind::kCpu, threads);
    optimizer->Update(ctx, {.learning_rate = 1e-3,
                            .step = step,
                            .grad_scale = TensorView(grad_scale.data(), {3}, DType::kF32, DeviceKind::kCpu)});
  }
  std::map<std::string, TensorView> States() const {
    std::map<std::string, TensorView> states;
    optimizer->ForEachState([&](const StateTensor& state) { states[state.name] = state.tensor; });
    return states;
  }

  TestParameters parameters;
  std::vector<float> grad_scale = {1.0f, 0.5f, 0.25f};
  Arena moments = Arena::Measuring("moments");
  Arena metadata = Arena::Measuring("metadata");
  std::unique_ptr<Optimizer> optimizer;
};

std::vector<float> ValuesOf(ConstTensorView x) {
  return {x.As<float>(), x.As<float>() + x.elements()};
}

const Kind kAdamW = {.name = "adamw"};
const Kind kLionW = {.name = "lionw", .optimizer = OptimizerName::kLionW};
const Kind kCoat = {.name = "coat", .quantized = true};
const Kind kCoatE5M2 = {.name = "coat e5m2",
                        .quantized = true,
                        .first = Fp8Format::kE4M3,
                        .second = Fp8Format::kE5M2,
                        .first_expansion = Expansion::kOff,
                        .group = 32};

TEST(Optimizer, StartsWithStatesOfZerosUnderTheNamesOfCheckpoints) {
  const auto names = [](const Kind& kind) {
    std::vector<std::string> names;
    const Training training(kind);
    for (const auto& [name, tensor] : training.States()) {
      names.push_back(name + " " + tensor.shape().ToString() + " " + std::string(NameOf(tensor.dtype())));
      for (std::int64_t i = 0; i < tensor.bytes(); ++i) EXPECT_EQ(tensor.As<std::uint8_t>()[i], 0) << name;
    }
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(kAdamW),
            (Names{"a.exp_avg [5, 1] f32", "a.exp_avg_sq [5, 1] f32", "b.exp_avg [33, 17] f32",
                   "b.exp_avg_sq [33, 17] f32", "wte.exp_avg [19, 8] f32", "wte.exp_avg_sq [19, 8] f32"}));
  EXPECT_EQ(names(kLionW), (Names{"a.exp_avg [5, 1] f32", "b.exp_avg [33, 17] f32", "wte.exp_avg [19, 8] f32"}));
  const Names coat = names(kCoat);
  EXPECT_EQ(coat.size(), 18u);
  EXPECT_EQ(Names(coat.begin() + 6, coat.begin() + 12),
            (Names{"b.exp_avg [33, 17] e4m3", "b.exp_avg.absmax [5] f32", "b.exp_avg.exponent [5] f32",
                   "b.exp_avg_sq [33, 17] e4m3", "b.exp_avg_sq.absmax [5] f32", "b.exp_avg_sq.exponent [5] f32"}));
  const Names e5m2 = names(kCoatE5M2);
  EXPECT_EQ(Names(e5m2.begin() + 5, e5m2.begin() + 10),
            (Names{"b.exp_avg [33, 17] e4m3", "b.exp_avg.absmax [18] f32", "b.exp_avg_sq [33, 17] e5m2",
                   "b.exp_avg_sq.absmax [18] f32", "b.exp_avg_sq.exponent [18] f32"}));
}

TEST(Optimizer, KeepsFp8MomentsInAQuarterOfTheMemory) {
  EXPECT_EQ(Training(kCoat).moments.entries().size(), 6u);
  std::int64_t plain = 0, fp8 = 0;
  const Training adamw(kAdamW), coat(kCoat);
  for (const Arena::Entry& entry : adamw.moments.entries()) plain += entry.bytes;
  for (const Arena::Entry& entry : coat.moments.entries()) fp8 += entry.bytes;
  EXPECT_EQ(fp8 * 4, plain);
  EXPECT_EQ(adamw.metadata.entries().size(), 0u);
}

AdamWScalars ScalarsOf(const Parameter& parameter, std::int64_t step) {
  return {{.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .step = step},
          parameter.kind == ParameterKind::kEmbedding ? 0.0 : 0.1};
}

TEST(Optimizer, UpdatesEachParameterWithItsOwnDecayAndGradientScale) {
  Training training(kAdamW);
  std::vector<std::vector<float>> before;
  for (const Parameter& parameter : training.parameters.all()) before.push_back(ValuesOf(parameter.value));
  training.Step(1);
  for (std::size_t p = 0; p < 3; ++p) {
    const Parameter& parameter = training.parameters.all()[p];
    const AdamWScalars scalars = ScalarsOf(parameter, 1);
    for (std::int64_t i = 0; i < parameter.shape.elements(); ++i) {
      const float grad = parameter.grad.As<float>()[i] * training.grad_scale[p];
      const AdamWElement expected = AdamWUpdate(scalars, {before[p][static_cast<std::size_t>(i)], 0.0f, 0.0f}, grad);
      ASSERT_EQ(parameter.value.As<float>()[i], expected.param) << parameter.name << " " << i;
    }
  }
}

TEST(Optimizer, TakesTheSameFirstStepInFp8AsInFloat32) {
  Training plain(kAdamW);
  for (const Kind& kind : {kCoat, kCoatE5M2}) {
    Training coat(kind);
    Training adamw(kAdamW);
    coat.Step(1);
    adamw.Step(1);
    for (std::size_t p = 0; p < 3; ++p) {
      EXPECT_EQ(ValuesOf(coat.parameters.all()[p].value), ValuesOf(adamw.parameters.all()[p].value)) << kind.name;
    }
  }
}

TEST(Optimizer, StaysCloseToFloat32InFp8) {
  Training coat(kCoat), adamw(kAdamW);
  for (int step = 1; step <= 50; ++step) {
    coat.parameters.DrawGradients(0.1f);
    adamw.parameters.DrawGradients(0.1f);
    coat.Step(step);
    adamw.Step(step);
  }
  double difference = 0.0, moved = 0.0;
  const Training start(kAdamW);
  for (std::size_t p = 0; p < 3; ++p) {
    for (std::int64_t i = 0; i < adamw.parameters.all()[p].shape.elements(); ++i) {
      const double exact = adamw.parameters.all()[p].value.As<float>()[i];
      difference += std::pow(coat.parameters.all()[p].value.As<float>()[i] - exact, 2);
      moved += std::pow(start.parameters.all()[p].value.As<float>()[i] - exact, 2);
    }
  }
  // What users are promised, and no roundoff: a twentieth of the way.
  EXPECT_LT(std::sqrt(difference / moved), 0.05);
  EXPECT_GT(difference, 0.0);
}

/// `values` as a moment keeps them in groups: FP8 codes, with expansion or without.
template <class F>
void RoundAsKept(std::vector<float>& values, std::int64_t group, Expansion expansion) {
  for (std::size_t begin = 0; begin < values.size(); begin += static_cast<std::size_t>(group)) {
    const std::span<float> of_group =
        std::span(values).subspan(begin, std::min(static_cast<std::size_t>(group), values.size() - begin));
    float largest = 0.0f, smallest = INFINITY;
    for (const float x : of_group) {
      largest = std::max(largest, std::abs(x));
      if (x != 0.0f) smallest = std::min(smallest, std::abs(x));
    }
    const float exponent = ExpansionExponent<F>(largest, smallest, 16.0f);
    for (float& x : of_group) {
      x = expansion == Expansion::kOn
              ? DecodeExpanded<F>(EncodeExpanded<F>(x, SplitLog2(largest), exponent), largest, 1.0f / exponent)
              : DecodeUnexpanded<F>(EncodeUnexpanded<F>(x, largest), largest);
    }
  }
}

void RoundAsKept(std::vector<float>& values, std::int64_t group, Fp8Format format, Expansion expansion) {
  format == Fp8Format::kE4M3 ? RoundAsKept<E4M3>(values, group, expansion)
                             : RoundAsKept<E5M2>(values, group, expansion);
}

TEST(Optimizer, IsAdamWWithMomentsThatAreRoundedToFp8AfterEachStep) {
  for (const Kind& kind : {kCoat, kCoatE5M2}) {
    Training coat(kind);
    std::vector<std::vector<AdamWElement>> expected;
    for (const Parameter& parameter : coat.parameters.all()) {
      std::vector<AdamWElement>& elements = expected.emplace_back();
      for (const float param : ValuesOf(parameter.value)) elements.push_back({.param = param});
    }
    for (int step = 1; step <= 10; ++step) {
      coat.parameters.DrawGradients(0.1f);
      coat.Step(step);
      for (std::size_t p = 0; p < 3; ++p) {
        const Parameter& parameter = coat.parameters.all()[p];
        const AdamWScalars scalars = ScalarsOf(parameter, step);
        std::vector<float> first, second;
        for (std::size_t i = 0; i < expected[p].size(); ++i) {
          AdamWElement& element = expected[p][i];
          element = AdamWUpdate(scalars, element, parameter.grad.As<float>()[i] * coat.grad_scale[p]);
          ASSERT_EQ(parameter.value.As<float>()[i], element.param) << kind.name << " " << parameter.name << " " << i;
          first.push_back(element.exp_avg);
          second.push_back(element.exp_avg_sq);
        }
        RoundAsKept(first, kind.group, kind.first, kind.first_expansion);
        RoundAsKept(second, kind.group, kind.second, kind.second_expansion);
        for (std::size_t i = 0; i < expected[p].size(); ++i) {
          expected[p][i].exp_avg = first[i];
          expected[p][i].exp_avg_sq = second[i];
        }
      }
    }
  }
}

TEST(Optimizer, GivesTheSameBytesOnAnyNumberOfThreads) {
  for (const Kind& kind : {kAdamW, kLionW, kCoat, kCoatE5M2}) {
    Training one(kind), three(kind);
    for (int step = 1; step <= 3; ++step) {
      one.Step(step, 1);
      three.Step(step, 3);
    }
    const auto expected = one.States(), got = three.States();
    for (const auto& [name, tensor] : expected) {
      EXPECT_EQ(std::memcmp(tensor.data(), got.at(name).data(), static_cast<std::size_t>(tensor.bytes())), 0) << name;
    }
  }
}

TEST(Optimizer, LeavesElementsWithoutGradientAloneWhenUpdatesAreSelective) {
  for (const OptimizerName name : {OptimizerName::kAdamW, OptimizerName::kLionW}) {
    Training training({.name = "selective", .optimizer = name, .selective = true});
    const Parameter& parameter = training.parameters.all()[0];
    parameter.grad.As<float>()[7] = 0.0f;
    const std::vector<float> before = ValuesOf(parameter.value);
    training.Step(1);
    EXPECT_EQ(parameter.value.As<float>()[7], before[7]);
    EXPECT_NE(parameter.value.As<float>()[8], before[8]);
  }
}

}  // namespace
}  // namespace coat
