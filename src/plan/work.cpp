#include "plan/work.h"

namespace coat {

namespace {

// Shares of a copy that kernels reach, measured on the H200 at OLMo-1B's sizes (docs/performance.md, "Kernels").
constexpr double kCopies = 1.0;
constexpr double kAddLayerNorm = 0.91;
constexpr double kNormalizeQuantize = 0.92;
constexpr double kLayerNormBackward = 0.91;
constexpr double kAbsMax = 0.82;
constexpr double kQuantize = 0.92;
constexpr double kQuantizeBoth = 0.88;  // 0.86 at width 2048, 0.90 at 6144
constexpr double kQuantizeTransposed = 0.85;
constexpr double kTransposeCodes = 0.82;
constexpr double kGroups128 = 0.68;
constexpr double kWeights = 0.95;
constexpr double kSwigluForward = 1.03;
constexpr double kSwigluBackward = 0.99;
constexpr double kSwigluQuantizeForward = 0.96;
constexpr double kSwigluQuantizeBackward = 0.805;
constexpr double kRopeForward = 0.89;
constexpr double kRopeBackward = 0.91;
constexpr double kQkNormRopeForward = 0.83;
constexpr double kQkNormRopeBackward = 0.69;
constexpr double kAddRmsNorm = 0.80;
constexpr double kRmsNorm = 0.82;
constexpr double kRmsNormBackward = 0.85;
constexpr double kRmsNormBackwardGroups = 0.69;
constexpr double kCrossEntropy = 1.04;
constexpr double kEmbeddingForward = 0.98;
constexpr double kEmbeddingBackward = 0.58;
constexpr double kL2Norms = 1.08;
constexpr double kAdamW = 0.94;
constexpr double kCoatAdamWFloat32 = 0.87;  // of gradients
constexpr double kCoatAdamWBFloat16 = 0.77;

/// Bytes of an up and a gate as they are kept in groups, with their scales.
double KeptBytes(const Recipe& recipe) {
  return recipe.KeepsGroups() ? 2.0 + 4.0 / recipe.kept_output.group : 0.0;
}

const Rates::OfProducts& RatesOfProducts(const Recipe& recipe, const Rates& rates, ProductRole role) {
  if (!recipe.Fp8()) return rates.plain;
  if (!recipe.PerTensor()) return rates.blocks;
  const bool fast = role == ProductRole::kForward         ? recipe.fast_forward
                    : role == ProductRole::kInputGradient ? recipe.fast_input_gradient
                                                          : recipe.fast_weight_gradient;
  return fast ? rates.fast : rates.precise;
}

}  // namespace

WorkTime& WorkTime::operator+=(const WorkTime& other) {
  products += other.products;
  attention += other.attention;
  passes += other.passes;
  weights += other.weights;
  return *this;
}

WorkTime operator*(double factor, const WorkTime& time) {
  return {factor * time.products, factor * time.attention, factor * time.passes, factor * time.weights};
}

ModelWork::ModelWork(const TrainConfig& config, const Recipe& recipe, const Rates& rates, bool gathered)
    : config_(config), recipe_(recipe), rates_(rates), gathered_(gathered) {
  const ModelConfig& model = config.model;
  width_ = {.d = static_cast<double>(model.d_model),
            .qkv = static_cast<double>(model.QkvWidth()),
            .kv = static_cast<double>(model.KvHeads() * model.HeadSize()),
            .f = static_cast<double>(model.FeedForwardWidth()),
            .h = static_cast<double>(model.HiddenWidth())};
  block_weights_ = width_.d * (width_.qkv + width_.d + width_.f + width_.h);
}

double ModelWork::ForwardWeightBytes() const {
  if (gathered_) return recipe_.Fp8() && !recipe_.PerTensor() ? 5.0 : 0.0;
  if (recipe_.weight_cache == WeightCache::kBoth) return 0.0;
  if (!recipe_.Fp8()) return 6.0;  // float32 to bf16
  return recipe_.weight_cache == WeightCache::kCodes ? 0.0 : 5.0;
}

double ModelWork::BackwardWeightBytes() const {
  const bool per_tensor = recipe_.Fp8() && recipe_.PerTensor();
  if (gathered_) return !recipe_.Fp8() ? 0.0 : per_tensor ? 2.0 : 5.0;
  if (recipe_.weight_cache == WeightCache::kBoth) return 0.0;
  if (!recipe_.Fp8()) return 6.0;
  return recipe_.weight_cache == WeightCache::kCodes && per_tensor ? 2.0 : 5.0;
}

void ModelWork::AddProduct(ProductRole role, double tokens, double in, double out, WorkTime& time) const {
  const double rate = RatesOfProducts(recipe_, rates_, role)[static_cast<std::size_t>(role)];
  time.products += 2.0 * tokens * in * out / rate;
  if (!recipe_.Fp8() || rates_.has_fp8) return;
  // Without FP8 products both operands are decoded to bf16: 1 byte read and 2 written.
  const double operands = role == ProductRole::kForward         ? tokens * in + in * out
                          : role == ProductRole::kInputGradient ? tokens * out + in * out
                                                                : tokens * (in + out);
  AddPass(3.0 * operands, kQuantize, time);
}

void ModelWork::AddPass(double bytes, double share, WorkTime& time) const {
  time.passes += bytes / (share * rates_.copy);
}

void ModelWork::AddWeights(double parameters, double bytes, WorkTime& time) const {
  const double share = bytes == 2.0 ? kTransposeCodes : kWeights;
  time.weights += parameters * bytes / (share * rates_.copy);
}

void ModelWork::AddInputCodes(double tokens, double width, WorkTime& time) const {
  if (!recipe_.Fp8()) return;
  if (recipe_.PerTensor()) AddPass(2.0 * tokens * width, kAbsMax, time);
  AddPass(3.0 * tokens * width, recipe_.PerTensor() ? kQuantize : kGroups128, time);
}

void ModelWork::AddTransposedInput(double tokens, double width, WorkTime& time) const {
  if (!recipe_.Fp8()) return;
  AddPass(3.0 * tokens * width, recipe_.PerTensor() ? kQuantizeTransposed : kGroups128, time);
}

void ModelWork::AddGradientCodes(double tokens, double width, bool measured, WorkTime& time) const {
  if (!recipe_.Fp8()) return;
  if (recipe_.PerTensor() && !measured) AddPass(2.0 * tokens * width, kAbsMax, time);
  AddPass(4.0 * tokens * width, recipe_.PerTensor() ? kQuantizeBoth : kGroups128, time);
}

void ModelWork::AddEnter(double tokens, WorkTime& time) const {
  const double d = tokens * width_.d;
  if (config_.model.norm_after) {
    AddPass(recipe_.KeepsGroups() ? 3.0 * d : 4.0 * d, recipe_.KeepsGroups() ? kQuantize : kCopies, time);
  } else if (recipe_.KeepsGroups()) {
    AddPass(6.0 * d, kAddLayerNorm, time);
    AddPass(3.0 * d, kNormalizeQuantize, time);
  } else {
    AddPass(8.0 * d, kAddLayerNorm, time);
  }
  if (!recipe_.KeepsGroups()) AddInputCodes(tokens, width_.d, time);
}

void ModelWork::AddAttention(double tokens, bool backward, WorkTime& time) const {
  // Causal: half of the scores. Two products forward, five backward.
  const double pair = 2.0 * tokens * static_cast<double>(config_.model.max_sequence_length) * width_.d / 2.0;
  const bool documents = config_.data.generate_doc_lengths;
  const double forward_rate = documents ? rates_.documents_forward : rates_.attention_forward;
  const double backward_rate = documents ? rates_.documents_backward : rates_.attention_backward;
  time.attention += backward ? 5.0 * pair / backward_rate : 2.0 * pair / forward_rate;
}

void ModelWork::AddAttentionHalf(double tokens, WorkTime& time) const {
  AddEnter(tokens, time);
  AddProduct(ProductRole::kForward, tokens, width_.d, width_.qkv, time);
  if (config_.model.attention_layer_norm) {
    AddPass(4.0 * tokens * width_.qkv, kQkNormRopeForward, time);
  } else {
    AddPass(4.0 * tokens * (width_.d + width_.kv), kRopeForward, time);
  }
  AddAttention(tokens, /*backward=*/false, time);
  AddInputCodes(tokens, width_.d, time);
  AddProduct(ProductRole::kForward, tokens, width_.d, width_.d, time);
}

WorkTime ModelWork::BlockForward(std::int64_t count) const {
  const auto tokens = static_cast<double>(count);
  const double kept = KeptBytes(recipe_);
  WorkTime time;
  AddWeights(block_weights_, ForwardWeightBytes(), time);
  AddAttentionHalf(tokens, time);
  AddEnter(tokens, time);
  AddProduct(ProductRole::kForward, tokens, width_.d, width_.f, time);
  if (recipe_.KeepsGroups()) {
    AddPass((9.0 + kept) * tokens * width_.h, kSwigluQuantizeForward, time);
  } else {
    AddPass(6.0 * tokens * width_.h, kSwigluForward, time);
    AddInputCodes(tokens, width_.h, time);
  }
  AddProduct(ProductRole::kForward, tokens, width_.h, width_.d, time);
  if (config_.model.norm_after) {
    AddPass(2.0 * (6.0 + kept / 2.0) * tokens * width_.d, kAddRmsNorm, time);
  }
  return time;
}

WorkTime ModelWork::BlockRecompute(std::int64_t count) const {
  const auto tokens = static_cast<double>(count);
  WorkTime time;
  AddPass(4.0 * tokens * width_.d, kCopies, time);  // the input, when forward keeps it
  if (config_.model.norm_after) return time += BlockForward(count);
  AddWeights(block_weights_ - width_.h * width_.d, ForwardWeightBytes(), time);
  AddAttentionHalf(tokens, time);
  AddEnter(tokens, time);
  AddProduct(ProductRole::kForward, tokens, width_.d, width_.f, time);
  if (recipe_.KeepsGroups()) {
    AddPass(3.0 * tokens * width_.f, kQuantize, time);
  } else if (recipe_.PerTensor()) {
    AddPass(6.0 * tokens * width_.h, kSwigluForward, time);
    AddPass(2.0 * tokens * width_.h, kAbsMax, time);
  }
  return time;
}

WorkTime ModelWork::BlockBackward(std::int64_t count) const {
  const auto tokens = static_cast<double>(count);
  const auto& [d, qkv, kv, f, h] = width_;
  const bool groups = recipe_.KeepsGroups();
  const double kept = KeptBytes(recipe_);
  WorkTime time;
  AddWeights(block_weights_, BackwardWeightBytes(), time);
  for (const ProductRole role : {ProductRole::kInputGradient, ProductRole::kWeightGradient}) {
    AddProduct(role, tokens, d, qkv, time);
    AddProduct(role, tokens, d, d, time);
    AddProduct(role, tokens, d, f, time);
    AddProduct(role, tokens, h, d, time);
  }
  AddAttention(tokens, /*backward=*/true, time);
  // Norms.
  if (!config_.model.norm_after) {
    AddPass(2.0 * (groups ? 7.0 : 8.0) * tokens * d, kLayerNormBackward, time);
  } else if (groups) {
    AddPass(2.0 * (4.0 + kept / 2.0) * tokens * d, kRmsNormBackwardGroups, time);
  } else {
    AddPass(2.0 * 6.0 * tokens * d, kRmsNormBackward, time);
  }
  // Queries and keys. Where gradients get one scale, the values' are read too.
  const double values = recipe_.Fp8() && recipe_.PerTensor() ? 2.0 * kv : 0.0;
  if (config_.model.attention_layer_norm) {
    AddPass(4.0 * tokens * qkv, kQkNormRopeForward, time);
    AddPass((6.0 * (d + kv) + values) * tokens, kQkNormRopeBackward, time);
  } else {
    AddPass((4.0 * (d + kv) + values) * tokens, kRopeBackward, time);
  }
  // SwiGLU, and the operands of products.
  AddGradientCodes(tokens, d, /*measured=*/true, time);
  AddGradientCodes(tokens, d, /*measured=*/true, time);
  AddGradientCodes(tokens, qkv, /*measured=*/true, time);
  AddTransposedInput(tokens, d, time);  // attention's output
  if (groups) {
    AddPass((9.0 + 2.0 * kept) * tokens * h, kSwigluQuantizeBackward, time);
    AddPass(2.0 * 2.0 * tokens * d, kTransposeCodes, time);
    return time;
  }
  AddPass(12.0 * tokens * h, kSwigluBackward, time);
  AddGradientCodes(tokens, f, /*measured=*/false, time);
  AddTransposedInput(tokens, d, time);
  AddTransposedInput(tokens, d, time);
  AddTransposedInput(tokens, h, time);
  return time;
}

WorkTime ModelWork::EmbeddingForward(std::int64_t tokens) const {
  WorkTime time;
  AddPass((gathered_ ? 4.0 : 6.0) * static_cast<double>(tokens) * width_.d, kEmbeddingForward, time);
  return time;
}

WorkTime ModelWork::EmbeddingBackward(std::int64_t tokens) const {
  const auto gradient = static_cast<double>(SizeOf(recipe_.gradient));
  WorkTime time;
  AddPass((2.0 + 2.0 * gradient) * static_cast<double>(tokens) * width_.d, kEmbeddingBackward, time);
  return time;
}

WorkTime ModelWork::Head(std::int64_t count) const {
  const auto tokens = static_cast<double>(count);
  const auto vocabulary = static_cast<double>(config_.model.EmbeddingRows());
  WorkTime time;
  time.products += 3.0 * 2.0 * tokens * width_.d * vocabulary / rates_.head;
  AddPass(4.0 * tokens * vocabulary, kCrossEntropy, time);
  if (config_.model.norm_after) {
    AddPass(4.0 * tokens * width_.d, kRmsNorm, time);
    AddPass(6.0 * tokens * width_.d, kRmsNormBackward, time);
  } else {
    AddPass(8.0 * tokens * width_.d, kAddLayerNorm, time);
    AddPass(8.0 * tokens * width_.d, kLayerNormBackward, time);
  }
  const bool kept = gathered_ || recipe_.weight_cache == WeightCache::kBoth;
  if (!kept) AddWeights(vocabulary * width_.d, 6.0, time);
  return time;
}

WorkTime ModelWork::Refresh() const {
  WorkTime time;
  if (gathered_ || recipe_.weight_cache == WeightCache::kNone) return time;
  const bool both = recipe_.weight_cache == WeightCache::kBoth;
  const double of_block = recipe_.Fp8() ? (both ? 6.0 : 5.0) : both ? 6.0 : 0.0;
  AddWeights(block_weights_ * static_cast<double>(config_.model.n_layers), of_block, time);
  if (both) AddWeights(static_cast<double>(config_.model.EmbeddingRows()) * width_.d, 6.0, time);
  return time;
}

WorkTime ModelWork::Norms(std::int64_t elements) const {
  WorkTime time;
  AddPass(static_cast<double>(elements * SizeOf(recipe_.gradient)), kL2Norms, time);
  return time;
}

WorkTime ModelWork::Update(std::int64_t elements) const {
  const auto count = static_cast<double>(elements);
  const auto gradient = static_cast<double>(SizeOf(recipe_.gradient));
  WorkTime time;
  if (config_.quantize_optimizer.use_quantize_optimizer) {
    // Master and two moments of a byte, read and written; two float32 of each group of either.
    const double groups = 32.0 / static_cast<double>(config_.quantize_optimizer.qgroup_size);
    const double share = recipe_.gradient == DType::kBF16 ? kCoatAdamWBFloat16 : kCoatAdamWFloat32;
    AddPass((12.0 + gradient + groups) * count, share, time);
  } else {
    const double moments = config_.optimizer.name == OptimizerName::kLionW ? 8.0 : 16.0;
    AddPass((8.0 + moments + gradient) * count, kAdamW, time);
  }
  return time;
}

}  // namespace coat
