#pragma once
// The enumerations of OLMo's configuration. NamesOf gives the YAML spellings; the first of a value is written by dumps.

#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>

#include "base/token_type.h"

namespace coat {

template <class Enumeration>
struct EnumName {
  Enumeration value;
  std::string_view name;
};

template <class Enumeration, std::size_t n>
using EnumNames = std::array<EnumName<Enumeration>, n>;

enum class ActivationType { kGelu, kRelu, kSwiglu };
constexpr EnumNames<ActivationType, 3> NamesOf(ActivationType) {
  return {{{ActivationType::kGelu, "gelu"}, {ActivationType::kRelu, "relu"}, {ActivationType::kSwiglu, "swiglu"}}};
}

enum class BlockType { kSequential, kLlama };
constexpr EnumNames<BlockType, 2> NamesOf(BlockType) {
  return {{{BlockType::kSequential, "sequential"}, {BlockType::kLlama, "llama"}}};
}

enum class LayerNormType { kDefault, kLowPrecision, kRms };
constexpr EnumNames<LayerNormType, 3> NamesOf(LayerNormType) {
  return {{{LayerNormType::kDefault, "default"},
           {LayerNormType::kLowPrecision, "low_precision"},
           {LayerNormType::kRms, "rms"}}};
}

enum class InitFunction { kNormal, kMitchell, kKaimingNormal, kFanIn, kFullMegatron };
constexpr EnumNames<InitFunction, 5> NamesOf(InitFunction) {
  return {{{InitFunction::kNormal, "normal"},
           {InitFunction::kMitchell, "mitchell"},
           {InitFunction::kKaimingNormal, "kaiming_normal"},
           {InitFunction::kFanIn, "fan_in"},
           {InitFunction::kFullMegatron, "full_megatron"}}};
}

enum class Precision { kAmpBf16, kAmpFp16, kFp32 };
constexpr EnumNames<Precision, 3> NamesOf(Precision) {
  return {{{Precision::kAmpBf16, "amp_bf16"}, {Precision::kAmpFp16, "amp_fp16"}, {Precision::kFp32, "fp32"}}};
}

/// The type in which gradients are accumulated.
enum class GradientPrecision { kFp32, kBf16 };
constexpr EnumNames<GradientPrecision, 2> NamesOf(GradientPrecision) {
  return {{{GradientPrecision::kFp32, "fp32"}, {GradientPrecision::kBf16, "bf16"}}};
}

enum class OptimizerName { kLionW, kAdamW, kCoatFp8AdamW };
constexpr EnumNames<OptimizerName, 3> NamesOf(OptimizerName) {
  return {{{OptimizerName::kLionW, "lionw"},
           {OptimizerName::kAdamW, "adamw"},
           {OptimizerName::kCoatFp8AdamW, "coat_fp8_adamw"}}};
}

enum class SchedulerName {
  kCosineWithWarmup,
  kLinearWithWarmup,
  kInverseSqrtWithWarmup,
  kMaxScheduler,
  kConstant,
  kConstantWithWarmup,
  kCosineLinearEnvelope,
};
constexpr EnumNames<SchedulerName, 7> NamesOf(SchedulerName) {
  return {{{SchedulerName::kCosineWithWarmup, "cosine_with_warmup"},
           {SchedulerName::kLinearWithWarmup, "linear_with_warmup"},
           {SchedulerName::kInverseSqrtWithWarmup, "inverse_sqrt_with_warmup"},
           {SchedulerName::kMaxScheduler, "max_scheduler"},
           {SchedulerName::kConstant, "constant"},
           {SchedulerName::kConstantWithWarmup, "constant_with_warmup"},
           {SchedulerName::kCosineLinearEnvelope, "cosine_linear_envelope"}}};
}

enum class SchedulerUnits { kSteps, kTokens };
constexpr EnumNames<SchedulerUnits, 2> NamesOf(SchedulerUnits) {
  return {{{SchedulerUnits::kSteps, "steps"}, {SchedulerUnits::kTokens, "tokens"}}};
}

/// A side of a sequence: where padding goes, or where tokens are cut off.
enum class Side { kRight, kLeft };
constexpr EnumNames<Side, 2> NamesOf(Side) {
  return {{{Side::kRight, "right"}, {Side::kLeft, "left"}}};
}

constexpr EnumNames<TokenType, 2> NamesOf(TokenType) {
  return {{{TokenType::kUint16, "uint16"}, {TokenType::kUint32, "uint32"}}};
}

enum class EvaluatorType { kLm, kDownstream };
constexpr EnumNames<EvaluatorType, 2> NamesOf(EvaluatorType) {
  return {{{EvaluatorType::kLm, "lm"}, {EvaluatorType::kDownstream, "downstream"}}};
}

/// What is made of the log-likelihoods of a task's continuations.
enum class TaskMetric { kAcc, kLenNorm, kPmiDc, kF1, kCeLoss, kBpb, kSoft, kSoftLog };
constexpr EnumNames<TaskMetric, 8> NamesOf(TaskMetric) {
  return {{{TaskMetric::kAcc, "acc"},
           {TaskMetric::kLenNorm, "len_norm"},
           {TaskMetric::kPmiDc, "pmi_dc"},
           {TaskMetric::kF1, "f1"},
           {TaskMetric::kCeLoss, "ce_loss"},
           {TaskMetric::kBpb, "bpb"},
           {TaskMetric::kSoft, "soft"},
           {TaskMetric::kSoftLog, "soft_log"}}};
}

/// The precision of an evaluation: without FP8, or that of the training's forward pass.
enum class EvaluationRecipe { kPlain, kTraining };
constexpr EnumNames<EvaluationRecipe, 2> NamesOf(EvaluationRecipe) {
  return {{{EvaluationRecipe::kPlain, "plain"}, {EvaluationRecipe::kTraining, "training"}}};
}

enum class ShardedCheckpointerType { kTorchNew, kTorchLegacy, kLocal, kOlmoCore };
constexpr EnumNames<ShardedCheckpointerType, 4> NamesOf(ShardedCheckpointerType) {
  return {{{ShardedCheckpointerType::kTorchNew, "torch_new"},
           {ShardedCheckpointerType::kTorchLegacy, "torch_legacy"},
           {ShardedCheckpointerType::kLocal, "local"},
           {ShardedCheckpointerType::kOlmoCore, "olmo_core"}}};
}

enum class DistributedStrategy { kDdp, kFsdp, kSingle };
constexpr EnumNames<DistributedStrategy, 3> NamesOf(DistributedStrategy) {
  return {{{DistributedStrategy::kDdp, "ddp"},
           {DistributedStrategy::kFsdp, "fsdp"},
           {DistributedStrategy::kSingle, "single"}}};
}

enum class ShardingStrategy { kFullShard, kShardGradOp, kNoShard, kHybridShard, kHybridShardZero2 };
constexpr EnumNames<ShardingStrategy, 5> NamesOf(ShardingStrategy) {
  return {{{ShardingStrategy::kFullShard, "FULL_SHARD"},
           {ShardingStrategy::kShardGradOp, "SHARD_GRAD_OP"},
           {ShardingStrategy::kNoShard, "NO_SHARD"},
           {ShardingStrategy::kHybridShard, "HYBRID_SHARD"},
           {ShardingStrategy::kHybridShardZero2, "_HYBRID_SHARD_ZERO2"}}};
}
/// Whether groups of ranks keep a copy of the model each.
constexpr bool IsHybrid(ShardingStrategy strategy) {
  return strategy == ShardingStrategy::kHybridShard || strategy == ShardingStrategy::kHybridShardZero2;
}

enum class FsdpWrapStrategy {
  kByBlock,
  kByBlockAndSize,
  kByBlockGroup,
  kByBlockGroupAndSize,
  kSizeBased,
  kOneInTwo,
  kOneInThree,
  kOneInFour,
  kOneInFive,
};
constexpr EnumNames<FsdpWrapStrategy, 9> NamesOf(FsdpWrapStrategy) {
  return {{{FsdpWrapStrategy::kByBlock, "by_block"},
           {FsdpWrapStrategy::kByBlockAndSize, "by_block_and_size"},
           {FsdpWrapStrategy::kByBlockGroup, "by_block_group"},
           {FsdpWrapStrategy::kByBlockGroupAndSize, "by_block_group_and_size"},
           {FsdpWrapStrategy::kSizeBased, "size_based"},
           {FsdpWrapStrategy::kOneInTwo, "one_in_two"},
           {FsdpWrapStrategy::kOneInThree, "one_in_three"},
           {FsdpWrapStrategy::kOneInFour, "one_in_four"},
           {FsdpWrapStrategy::kOneInFive, "one_in_five"}}};
}

enum class FsdpPrecision { kPure, kMixed };
constexpr EnumNames<FsdpPrecision, 2> NamesOf(FsdpPrecision) {
  return {{{FsdpPrecision::kPure, "pure"}, {FsdpPrecision::kMixed, "mixed"}}};
}

enum class DdpGradSyncMode { kBatch, kMicroBatch };
constexpr EnumNames<DdpGradSyncMode, 2> NamesOf(DdpGradSyncMode) {
  return {{{DdpGradSyncMode::kBatch, "batch"}, {DdpGradSyncMode::kMicroBatch, "micro_batch"}}};
}

enum class SingleDevice { kAuto, kCpu, kCuda, kMps };
constexpr EnumNames<SingleDevice, 4> NamesOf(SingleDevice) {
  return {{{SingleDevice::kAuto, "auto"},
           {SingleDevice::kCpu, "cpu"},
           {SingleDevice::kCuda, "cuda"},
           {SingleDevice::kMps, "mps"}}};
}

enum class ActivationCheckpointing {
  kWholeLayer,
  kOneInTwo,
  kOneInThree,
  kOneInFour,
  kOneInEight,
  kTwoInThree,
  kThreeInFour,
  kFineGrained,
};
constexpr EnumNames<ActivationCheckpointing, 8> NamesOf(ActivationCheckpointing) {
  return {{{ActivationCheckpointing::kWholeLayer, "whole_layer"},
           {ActivationCheckpointing::kOneInTwo, "one_in_two"},
           {ActivationCheckpointing::kOneInThree, "one_in_three"},
           {ActivationCheckpointing::kOneInFour, "one_in_four"},
           {ActivationCheckpointing::kOneInEight, "one_in_eight"},
           {ActivationCheckpointing::kTwoInThree, "two_in_three"},
           {ActivationCheckpointing::kThreeInFour, "three_in_four"},
           {ActivationCheckpointing::kFineGrained, "fine_grained"}}};
}

/// The FP8 recipes of activations and weights.
enum class QuantizeModel { kCoatReal, kFp8Linear, kFp8DeepSeek };
constexpr EnumNames<QuantizeModel, 3> NamesOf(QuantizeModel) {
  return {{{QuantizeModel::kCoatReal, "coat_real"},
           {QuantizeModel::kFp8Linear, "fp8linear"},
           {QuantizeModel::kFp8DeepSeek, "fp8deepseek"}}};
}

enum class QuantizeOptimizer { kCoatFp8AdamW };
constexpr EnumNames<QuantizeOptimizer, 1> NamesOf(QuantizeOptimizer) {
  return {{{QuantizeOptimizer::kCoatFp8AdamW, "coat_fp8_adamw"}}};
}

/// Which FP8 products may sum with fewer bits, as Hopper's tensor cores do when they run fastest.
enum class FastAccumulation { kNone, kForwardAndInputGradient, kAll };
constexpr EnumNames<FastAccumulation, 3> NamesOf(FastAccumulation) {
  return {{{FastAccumulation::kNone, "none"},
           {FastAccumulation::kForwardAndInputGradient, "forward_and_input_gradient"},
           {FastAccumulation::kAll, "all"}}};
}

/// What is kept of a weight over a step, besides its float32 master and largest magnitude.
enum class WeightCache { kNone, kCodes, kBoth };
constexpr EnumNames<WeightCache, 3> NamesOf(WeightCache) {
  return {{{WeightCache::kNone, "none"}, {WeightCache::kCodes, "codes"}, {WeightCache::kBoth, "both"}}};
}

enum class Fp8Format { kE4M3, kE5M2 };
constexpr EnumNames<Fp8Format, 2> NamesOf(Fp8Format) {
  return {{{Fp8Format::kE4M3, "E4M3"}, {Fp8Format::kE5M2, "E5M2"}}};
}

/// Dynamic range expansion of an optimizer moment.
enum class Expansion { kOff, kOn };
constexpr EnumNames<Expansion, 6> NamesOf(Expansion) {
  return {{{Expansion::kOn, "expansion"},
           {Expansion::kOn, "expand"},
           {Expansion::kOn, "true"},
           {Expansion::kOff, "null"},
           {Expansion::kOff, "none"},
           {Expansion::kOff, "false"}}};
}

template <class T>
concept NamedEnumeration = requires(T value) {
  { NamesOf(value)[0].name } -> std::convertible_to<std::string_view>;
};

/// The YAML spelling of `value`.
template <NamedEnumeration Enumeration>
constexpr std::string_view NameOf(Enumeration value) {
  for (const auto& [candidate, name] : NamesOf(value)) {
    if (candidate == value) return name;
  }
  return "?";
}

}  // namespace coat
