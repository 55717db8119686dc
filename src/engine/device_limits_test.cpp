#include "engine/device_limits.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

TrainConfig WithTokens(std::int64_t batch, std::int64_t micro_batch, std::int64_t length) {
  TrainConfig config;
  config.quantize_model.use_quantize_model = QuantizeModel::kCoatReal;
  config.global_train_batch_size = batch;
  config.device_train_microbatch_size = micro_batch;
  config.model.max_sequence_length = length;
  return config;
}

TEST(DeviceLimits, FindMicroBatchesThatFp8TensorCoresDoNotTake) {
  EXPECT_EQ(Fp8TokenProblem(WithTokens(8, 4, 64)), "");
  EXPECT_EQ(Fp8TokenProblem(WithTokens(6, 4, 8)), "");
  EXPECT_EQ(Fp8TokenProblem(WithTokens(8, 4, 33)),
            "device_train_microbatch_size: a micro-batch of 4 sequences of 33 has 132 tokens; FP8 tensor cores take "
            "multiples of 16; --gemm=bf16 takes any");
  EXPECT_EQ(Fp8TokenProblem(WithTokens(9, 4, 8)),
            "device_train_microbatch_size: the last micro-batch of 1 sequences of 8 has 8 tokens; FP8 tensor cores "
            "take multiples of 16; --gemm=bf16 takes any");
  EXPECT_EQ(Fp8TokenProblem(WithTokens(2, 3, 8)), "");
  TrainConfig of_two_ranks = WithTokens(12, 4, 4);
  of_two_ranks.device_train_batch_size = 6;
  EXPECT_EQ(Fp8TokenProblem(of_two_ranks),
            "device_train_microbatch_size: the last micro-batch of 2 sequences of 4 has 8 tokens; FP8 tensor cores "
            "take multiples of 16; --gemm=bf16 takes any");
  TrainConfig plain = WithTokens(8, 4, 33);
  plain.quantize_model.use_quantize_model = std::nullopt;
  EXPECT_EQ(Fp8TokenProblem(plain), "");
}

TEST(DeviceLimits, FindEvaluatorsThatFp8TensorCoresDoNotTake) {
  TrainConfig config = WithTokens(128, 128, 33);
  config.quantize_model.use_quantize_model = QuantizeModel::kFp8DeepSeek;
  EXPECT_EQ(Fp8EvaluationProblem(config), "");
  config.evaluators.resize(2);
  EXPECT_EQ(Fp8EvaluationProblem(config), "");
  config.evaluators[1].recipe = EvaluationRecipe::kTraining;
  EXPECT_EQ(Fp8EvaluationProblem(config),
            "evaluators[1].recipe: found training, with use_quantize_model: fp8deepseek and sequences of 33 tokens; "
            "FP8 tensor cores take multiples of 4; accepted: plain, or a model.max_sequence_length that is such a "
            "multiple; --gemm=bf16 takes any");
  config.model.max_sequence_length = 36;
  EXPECT_EQ(Fp8EvaluationProblem(config), "");
  config.model.max_sequence_length = 33;
  config.quantize_model.use_quantize_model = QuantizeModel::kCoatReal;
  EXPECT_EQ(Fp8EvaluationProblem(config), "");
}

TEST(DeviceLimits, ConcernGpusAlone) {
  const Context cpu(DeviceKind::kCpu, 1);
  EXPECT_NO_THROW(RequireFp8Tokens(WithTokens(8, 4, 33), cpu));
  EXPECT_NO_THROW(RequireFp8EvaluationTokens(WithTokens(8, 4, 33), cpu));
  EXPECT_EQ(WorkspaceGrowth(WithTokens(8, 4, 2048), cpu), 0);
}

}  // namespace
}  // namespace coat
