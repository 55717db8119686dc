#include "engine/device_limits.h"

#include <algorithm>

#include "base/error.h"
#include "cuda/open_device.h"
#include "engine/loss_model.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

constexpr std::int64_t kFp8Multiple = 16;
constexpr std::int64_t kFp8GroupsMultiple = 4;  // rows of the first operand

/// Elements of the two FP8 operands of the largest product of a block over this many sequences; 0 without FP8.
std::int64_t LargestOperands(const TrainConfig& config, std::int64_t sequences) {
  if (!config.quantize_model.use_quantize_model || sequences == 0) return 0;
  const ModelConfig& model = config.model;
  const std::int64_t tokens = sequences * model.max_sequence_length;
  const std::int64_t width =
      std::max(model.FeedForwardWidth(), (model.n_heads + 2 * model.KvHeads()) * model.HeadSize());
  return width * (tokens + model.d_model) + tokens * std::max(model.d_model, model.FeedForwardWidth());
}

bool HasFp8Groups(const TrainConfig& config) {
  return config.quantize_model.use_quantize_model == QuantizeModel::kFp8DeepSeek;
}

/// Sequences of the largest evaluation batch whose products are in FP8; 0 if there is none.
std::int64_t Fp8EvaluationSequences(const TrainConfig& config) {
  const EvaluationNeeds needs = EvaluationNeedsOf(config);
  return needs.training ? needs.sequences : 0;
}

/// Whether the configuration has FP8 products that the context's device has tensor cores for.
bool MultipliesFp8(const TrainConfig& config, const Context& ctx) {
  if constexpr (kWithCuda) {
    if (!config.quantize_model.use_quantize_model || !ctx.backend()) return false;
    return cuda::MultipliesFp8(*ctx.backend(), HasFp8Groups(config) ? Scaling::kGroup : Scaling::kTensor);
  }
  return false;
}

std::int64_t GrowthTo(const cuda::WorkspaceNeeds& needs, const Context& ctx) {
  if constexpr (kWithCuda) {
    if (ctx.backend()) return cuda::WorkspaceBound(*ctx.backend(), needs) - ctx.workspace_bytes();
  }
  return 0;
}

}  // namespace

std::int64_t WorkspaceGrowth(const TrainConfig& config, const Context& ctx) {
  const std::int64_t sequences = config.MicroBatch();
  return GrowthTo({.sequences = sequences,
                   .positions = config.model.max_sequence_length,
                   .heads = config.model.n_heads,
                   .kv_heads = config.model.KvHeads(),
                   .head_size = config.model.HeadSize(),
                   .fp8_operands = LargestOperands(config, std::max(sequences, Fp8EvaluationSequences(config))),
                   .fp8_groups = HasFp8Groups(config)},
                  ctx);
}

std::int64_t EvaluationWorkspaceGrowth(const TrainConfig& config, const Context& ctx) {
  cuda::WorkspaceNeeds needs;  // no attention with gradients
  needs.fp8_operands = LargestOperands(config, Fp8EvaluationSequences(config));
  needs.fp8_groups = HasFp8Groups(config);
  return GrowthTo(needs, ctx);
}

std::string Fp8TokenProblem(const TrainConfig& config) {
  if (!config.quantize_model.use_quantize_model) return "";
  const std::int64_t length = config.model.max_sequence_length;
  const std::int64_t rest = config.DeviceBatch() % config.MicroBatch();
  for (const std::int64_t sequences : {config.MicroBatch(), rest}) {
    if (sequences * length % kFp8Multiple == 0) continue;
    return fmt::format(
        "device_train_microbatch_size: {} micro-batch of {} sequences of {} has {} tokens; FP8 tensor cores take "
        "multiples of {}; --gemm=bf16 takes any",
        sequences == rest ? "the last" : "a", sequences, length, sequences * length, kFp8Multiple);
  }
  return "";
}

std::string Fp8EvaluationProblem(const TrainConfig& config) {
  if (!HasFp8Groups(config)) return "";
  const std::int64_t length = config.model.max_sequence_length;
  if (length % kFp8GroupsMultiple == 0) return "";
  for (std::size_t i = 0; i < config.evaluators.size(); ++i) {
    if (config.evaluators[i].recipe != EvaluationRecipe::kTraining) continue;
    return fmt::format(
        "evaluators[{}].recipe: found training, with use_quantize_model: fp8deepseek and sequences of {} tokens; FP8 "
        "tensor cores take multiples of {}; accepted: plain, or a model.max_sequence_length that is such a multiple; "
        "--gemm=bf16 takes any",
        i, length, kFp8GroupsMultiple);
  }
  return "";
}

void RequireFp8EvaluationTokens(const TrainConfig& config, const Context& ctx) {
  if (Fp8EvaluationSequences(config) == 0 || !MultipliesFp8(config, ctx)) return;
  if (const std::string problem = Fp8EvaluationProblem(config); !problem.empty()) throw ConfigError(problem);
}

void RequireFp8Tokens(const TrainConfig& config, const Context& ctx) {
  if (!MultipliesFp8(config, ctx)) return;
  if (const std::string problem = Fp8TokenProblem(config); !problem.empty()) throw ConfigError(problem);
  RequireFp8EvaluationTokens(config, ctx);
}

}  // namespace coat
