// Whole steps on the GPU against the CPU, recorded against started one by one, and the memory that they take.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "engine/device_limits.h"
#include "engine/engine.h"
#include "tests/gpu/gpu.h"
#include "tests/support/rounding.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

/// Two layers of width 128 with heads of 64, sequences of 128 tokens, two micro-batches of 4: shapes that every recipe
/// takes, 128 x 128 blocks included.
TrainConfig SmallConfig() {
  TrainConfig config = TinyConfig();
  config.model.d_model = 128;
  config.model.mlp_ratio = 4;
  config.model.max_sequence_length = 128;
  config.model.vocab_size = 250;
  config.model.embedding_size = 256;
  config.optimizer.learning_rate = 1e-3;
  return config;
}

struct NamedConfig {
  std::string name;
  TrainConfig config;
};

std::vector<NamedConfig> Recipes() {
  std::vector<NamedConfig> recipes;
  const auto add = [&](const char* name, const auto& change) {
    recipes.push_back({name, SmallConfig()});
    change(recipes.back().config);
  };
  add("f32", [](TrainConfig& c) { c.precision = Precision::kFp32; });
  add("bf16", [](TrainConfig&) {});
  add("bf16_gradients", [](TrainConfig& c) { c.gradient_precision = GradientPrecision::kBf16; });
  add("lionw", [](TrainConfig& c) {
    c.optimizer.name = OptimizerName::kLionW;
    c.optimizer.learning_rate = 1e-4;
  });
  add("fp8linear", [](TrainConfig& c) { c.quantize_model.use_quantize_model = QuantizeModel::kFp8Linear; });
  add("fp8deepseek", [](TrainConfig& c) { c.quantize_model.use_quantize_model = QuantizeModel::kFp8DeepSeek; });
  add("coat_activation", [](TrainConfig& c) { UseCoatActivations(c); });
  add("coat_optimizer", [](TrainConfig& c) { UseCoatOptimizer(c); });
  add("coat_both", [](TrainConfig& c) {
    UseCoatActivations(c);
    UseCoatOptimizer(c);
  });
  add("coat_memory_efficient", [](TrainConfig& c) {
    UseCoatActivations(c);
    c.quantize_model.weight_memory_efficient = true;
  });
  add("adaptive_clipping", [](TrainConfig& c) { c.max_grad_norm_ratio = 1.2; });
  const auto add_olmo2 = [&](const char* name, const auto& change) {
    add(name, [&](TrainConfig& c) {
      UseOlmo2Norms(c.model);
      c.model.n_kv_heads = 1;
      c.model.weight_tying = false;
      c.optimizer.decay_norm_and_bias = true;
      change(c);
    });
  };
  add_olmo2("olmo2_f32", [](TrainConfig& c) { c.precision = Precision::kFp32; });
  add_olmo2("olmo2_bf16", [](TrainConfig&) {});
  add_olmo2("olmo2_bf16_gradients", [](TrainConfig& c) { c.gradient_precision = GradientPrecision::kBf16; });
  add_olmo2("olmo2_fp8linear", [](TrainConfig& c) { c.quantize_model.use_quantize_model = QuantizeModel::kFp8Linear; });
  add_olmo2("olmo2_fp8deepseek",
            [](TrainConfig& c) { c.quantize_model.use_quantize_model = QuantizeModel::kFp8DeepSeek; });
  add_olmo2("olmo2_coat_both", [](TrainConfig& c) {
    UseCoatActivations(c);
    UseCoatOptimizer(c);
  });
  add_olmo2("olmo2_coat_recomputed", [](TrainConfig& c) {
    UseCoatActivations(c);
    c.activation_checkpointing = ActivationCheckpointing::kWholeLayer;
  });
  add("documents", [](TrainConfig& c) { c.data.generate_doc_lengths = true; });
  add("f32_documents", [](TrainConfig& c) {
    c.precision = Precision::kFp32;
    c.data.generate_doc_lengths = true;
  });
  return recipes;
}

/// Trains on a Markov chain, each of whose symbols is followed by one of four, with a warm-up of 20 steps: without one
/// AdamW's first steps are signs of gradients, which amplify every last bit. The mean loss of each step.
class Training {
 public:
  Training(const TrainConfig& config, Context ctx) : config_(config), engine_(config, std::move(ctx)) {
    engine_.InitializeParameters(6198);
  }

  std::vector<double> Run(std::int64_t steps) {
    std::vector<double> losses;
    for (std::int64_t i = 0; i < steps; ++i) losses.push_back(OneStep());
    return losses;
  }

  Engine& engine() { return engine_; }

  /// The bytes of every parameter.
  std::vector<std::byte> Parameters() const {
    std::vector<std::byte> all;
    for (const Parameter& parameter : engine_.model().parameters()) {
      const std::size_t begin = all.size();
      all.resize(begin + static_cast<std::size_t>(parameter.value.bytes()));
      engine_.context().Download(parameter.value, all.data() + begin);
    }
    return all;
  }

 private:
  double OneStep() {
    ++step_;
    const std::int64_t sequences = config_.device_train_microbatch_size;
    const auto tokens = static_cast<std::size_t>(sequences * config_.model.max_sequence_length);
    std::vector<std::int32_t> ids(tokens);
    std::vector<std::int32_t> labels(tokens);
    const double of_each = 1.0 / (2.0 * static_cast<double>(tokens));
    double loss = 0.0;
    for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
      for (std::size_t i = 0; i < tokens; ++i) {
        const auto follower = static_cast<std::int32_t>(generator_() % 7 % 4);
        symbol_ = (symbol_ * 31 + 17 * follower + 5) % static_cast<std::int32_t>(config_.model.vocab_size);
        ids[i] = symbol_;
        if (i > 0) labels[i - 1] = symbol_;
      }
      labels.back() = -100;
      const LossWeights weights = {.loss = of_each, .z = 1e-4 * of_each};
      loss +=
          engine_.TrainMicroBatch(ids, labels, sequences, weights, micro_batch == 0, DocumentsOf(ids)).cross_entropy;
    }
    const ClippingResult gradients =
        engine_.MeasureGradients({.max_norm = config_.max_grad_norm, .max_norm_ratio = config_.max_grad_norm_ratio});
    EXPECT_EQ(gradients.first_non_finite, "") << "step " << step_;
    engine_.Update(config_.optimizer.learning_rate * std::min(1.0, static_cast<double>(step_) / 20.0), step_);
    return loss * of_each;
  }

  /// A document ends with every symbol that 23 divides, where the configuration has documents.
  std::vector<std::int32_t> DocumentsOf(const std::vector<std::int32_t>& ids) const {
    std::vector<std::int32_t> documents;
    if (!config_.data.generate_doc_lengths) return documents;
    const std::int64_t length = config_.model.max_sequence_length;
    std::int32_t start = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto position = static_cast<std::int32_t>(static_cast<std::int64_t>(i) % length);
      if (position == 0) start = 0;
      documents.push_back(start);
      if (ids[i] % 23 == 0) start = position + 1;
    }
    return documents;
  }

  TrainConfig config_;
  Engine engine_;
  std::mt19937 generator_{7};
  std::int32_t symbol_ = 0;
  std::int64_t step_ = 0;
};

class GpuEngineTest : public testing::TestWithParam<NamedConfig> {};

/// Losses of the same batches agree, step by step within `of_step` and in means of ten steps within `of_mean`,
/// relative.
void ExpectSameLosses(const std::vector<double>& losses, const std::vector<double>& expected, double of_step,
                      double of_mean) {
  ASSERT_EQ(losses.size(), expected.size());
  double gap = 0.0;
  for (std::size_t step = 0; step < losses.size(); ++step) {
    const double of_this = losses[step] / expected[step] - 1.0;
    EXPECT_NEAR(of_this, 0.0, of_step) << "step " << step + 1;
    gap += of_this / 10.0;
    if (step % 10 == 9) {
      EXPECT_NEAR(gap, 0.0, of_mean) << "steps to " << step + 1;
      gap = 0.0;
    }
  }
}

/// How far float32 takes the loss of a token from another backend's, in a model that nobody has trained: by the
/// roundings of its logits, of which the largest, of the token itself in an embedding that is the head too, are
/// below 8.
double LossRounding(const ModelConfig& model) {
  constexpr double kLargestLogit = 8.0;
  return kStandardDeviations * kOfTwo * kLargestLogit *
         ForwardRounding(model, static_cast<double>(model.max_sequence_length));
}

/// FP8 codes are made of values that differ in their last bits, and some flip to a neighbor, 6 or 12 % away. Over the
/// 1024 tokens of a step the flips average out to about 1e-3 of the loss; products of the same codes by FP8 and by
/// bfloat16 tensor cores on one GPU differ by as much. They have no common sign, so the means of ten steps agree
/// better.
constexpr double kFlipsOfAStep = 4e-3;

TEST_P(GpuEngineTest, TrainsAsTheCpuDoes) {
  const TrainConfig& config = GetParam().config;
  const std::vector<double> on_cpu = Training(config, Context(DeviceKind::kCpu)).Run(50);
  const std::vector<double> on_gpu = Training(config, OpenGpu()).Run(50);
  const bool fp8 = config.quantize_model.use_quantize_model.has_value();
  ExpectSameLosses(on_gpu, on_cpu, fp8 ? kFlipsOfAStep : 1e-3, fp8 ? 1e-3 : 5e-4);
  EXPECT_LT(on_gpu.back(), 0.97 * on_gpu.front()) << "nothing was learned";
  if (config.precision == Precision::kFp32) {
    // Before the first update the weights are the same, and the errors of 1024 tokens average out.
    EXPECT_NEAR(on_gpu.front(), on_cpu.front(), LossRounding(config.model) / std::sqrt(1024.0));
  }
}

TEST_P(GpuEngineTest, RepeatsBitForBitRecordedOrNot) {
  const TrainConfig& config = GetParam().config;
  Training recorded(config, OpenGpu());
  Training again(config, OpenGpu());
  Training one_by_one(config, OpenGpu({.graphs = false}));
  const std::vector<double> losses = recorded.Run(6);
  // Every device times products for itself; as a resumed run does, the others take the first one's choice.
  const std::string tuning = recorded.engine().context().backend()->ExportTuning();
  for (Training* other : {&again, &one_by_one}) {
    EXPECT_EQ(other->engine().context().backend()->ImportTuning(tuning), "");
  }
  EXPECT_EQ(again.Run(6), losses);
  EXPECT_EQ(one_by_one.Run(6), losses);
  EXPECT_EQ(again.Parameters(), recorded.Parameters());
  EXPECT_EQ(one_by_one.Parameters(), recorded.Parameters());
  for (Training* other : {&again, &one_by_one}) {
    const std::string chosen = other->engine().context().backend()->DescribeTuning();
    EXPECT_EQ(chosen.find("timed anew"), std::string::npos) << chosen;
  }
}

TEST_P(GpuEngineTest, StartsFromTheCpusParametersAndTakesThePlannedMemory) {
  const TrainConfig& config = GetParam().config;
  Training on_cpu(config, Context(DeviceKind::kCpu, 1));
  Training on_gpu(config, OpenGpu());
  EXPECT_EQ(on_cpu.Parameters(), on_gpu.Parameters());
  on_gpu.Run(2);
  const MemoryPlan plan = Engine::Measure(config);
  const MemoryPlan used = on_gpu.engine().Used();
  for (const MemoryPlan::Line& line : plan.categories) EXPECT_EQ(line.bytes, used.Bytes(line.name)) << line.name;
}

TEST_P(GpuEngineTest, EvaluatesAsTheCpuDoes) {
  TrainConfig config = GetParam().config;
  config.evaluators.emplace_back();
  config.device_eval_batch_size = 4;
  std::vector<std::int32_t> ids(512);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 250);
  Training on_cpu(config, Context(DeviceKind::kCpu, 2));
  Training on_gpu(config, OpenGpu());
  std::vector<std::vector<float>> losses;
  for (Training* training : {&on_cpu, &on_gpu}) {
    training->engine().PrepareEvaluation(EvaluationRecipe::kPlain);
    for (int run = 0; run < 3; ++run) {  // as it is, recorded, replayed
      const std::span<const float> of_run = training->engine().EvaluateBatch(ids, ids, 4);
      losses.emplace_back(of_run.begin(), of_run.end());
    }
  }
  // A logit of up to 8 in bfloat16 is off by up to 2^-6 on either side, and so are the sums behind it.
  const bool is_float32 = config.precision == Precision::kFp32;
  const double of_token = is_float32 ? LossRounding(config.model) : 0x1p-4;
  const double of_mean = is_float32 ? of_token / std::sqrt(static_cast<double>(ids.size())) : 2e-3;
  double difference = 0.0;
  for (std::size_t i = 0; i < losses[0].size(); ++i) {
    EXPECT_NEAR(losses[3][i], losses[0][i], of_token) << i;
    difference += (losses[3][i] - losses[0][i]) / static_cast<double>(losses[0].size());
  }
  EXPECT_NEAR(difference, 0.0, of_mean);
  EXPECT_EQ(losses[3], losses[4]);
  EXPECT_EQ(losses[3], losses[5]);
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuEngineTest, testing::ValuesIn(Recipes()),
                         [](const auto& info) { return info.param.name; });

TEST(GpuEngine, MultipliesInBf16OnDecodedOperandsLikeFp8) {
  TrainConfig config = SmallConfig();
  UseCoatActivations(config);
  const std::vector<double> fp8 = Training(config, OpenGpu({.gemm = cuda::GemmMode::kFp8})).Run(20);
  const std::vector<double> bf16 = Training(config, OpenGpu({.gemm = cuda::GemmMode::kBf16})).Run(20);
  ExpectSameLosses(bf16, fp8, kFlipsOfAStep, 1e-3);
}

TEST(GpuEngine, SaysBeforeItStartsThatMemoryIsShort) {
  TrainConfig config = SmallConfig();
  config.model.d_model = 16384;
  config.model.n_heads = 128;
  config.model.n_layers = 80;
  try {
    const Engine engine(config, OpenGpu());
    FAIL() << "a model of 200 billion parameters was laid out";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("free of"), std::string::npos) << message;
    EXPECT_NE(message.find("device_train_microbatch_size"), std::string::npos) << message;
  }
}

TEST(GpuEngine, KeepsItsWorkspaceWithinWhatWasKeptFreeForIt) {
  // As OLMo-1B's attention: of each sequence 144 MiB, and four at a time.
  TrainConfig config = SmallConfig();
  config.model.d_model = 2048;
  config.model.n_heads = 16;
  config.model.n_layers = 1;
  config.model.max_sequence_length = 2048;
  Training training(config, OpenGpu());
  const Context& ctx = training.engine().context();
  const std::int64_t before = ctx.workspace_bytes();
  const std::int64_t growth = WorkspaceGrowth(config, ctx);
  EXPECT_GT(growth, 0);
  training.Run(1);
  EXPECT_GT(ctx.workspace_bytes(), before);
  EXPECT_LE(ctx.workspace_bytes(), before + growth);
}

TEST(GpuEngine, HasAProfileOfItsOwnTimeAndTheSameResults) {
  TrainConfig config = SmallConfig();
  UseCoatActivations(config);
  Training plain(config, OpenGpu());
  const std::vector<double> losses = plain.Run(4);
  Training watched(config, OpenGpu());
  std::vector<double> watched_losses = watched.Run(3);
  Profile profile(watched.engine().context());
  watched.engine().SetProfile(&profile);
  watched_losses.push_back(watched.Run(1).front());
  watched.engine().SetProfile(nullptr);
  EXPECT_EQ(losses, watched_losses);
  EXPECT_EQ(plain.Parameters(), watched.Parameters());

  double of_micro_batches = 0.0, of_blocks = 0.0;
  for (const Profile::Span& span : profile.Spans()) {
    if (!span.on_device) continue;
    EXPECT_GE(span.begin, 0.0) << span.name;
    EXPECT_GE(span.duration, 0.0) << span.name;
    if (span.name == "micro-batch") of_micro_batches += span.duration;
    if (span.name.rfind("forward of block", 0) == 0 || span.name.rfind("backward of block", 0) == 0) {
      of_blocks += span.duration;
    }
  }
  EXPECT_GT(of_blocks, 0.0);
  EXPECT_LT(of_blocks, of_micro_batches);
}

TEST(GpuEngine, FindsGradientsThatAreNotFinite) {
  Training training(SmallConfig(), OpenGpu());
  training.Run(2);
  Engine& engine = training.engine();
  const Parameter& parameter = engine.model().parameters()[2];
  const float nan = NAN;
  engine.context().Upload(&nan, TensorView(parameter.grad.data(), {1}, DType::kF32, DeviceKind::kCuda));
  EXPECT_EQ(engine.MeasureGradients({}).first_non_finite, parameter.name);
}

}  // namespace
}  // namespace coat
