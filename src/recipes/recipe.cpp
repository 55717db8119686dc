#include "recipes/recipe.h"

namespace coat {

namespace {

DType DTypeOf(Fp8Format format) {
  return format == Fp8Format::kE4M3 ? DType::kE4M3 : DType::kE5M2;
}

DType GradientType(const TrainConfig& config) {
  const bool narrow = config.precision == Precision::kAmpBf16 && config.gradient_precision == GradientPrecision::kBf16;
  return narrow ? DType::kBF16 : DType::kF32;
}

/// Linear inputs, weights and gradients per tensor, in the configured formats.
void UsePerTensorOperands(const OperandFormats& formats, Recipe& recipe) {
  recipe.linear_input = Format::PerTensor(DTypeOf(formats.fabit));
  recipe.linear_input_t = recipe.linear_input;
  recipe.weight = Format::PerTensor(DTypeOf(formats.fwbit));
  recipe.inner_gradient = Format::PerTensor(DTypeOf(formats.babit));
  recipe.outer_gradient = Format::PerTensor(DTypeOf(formats.bobit));
  recipe.gradient_t = Format::PerTensor(DTypeOf(formats.bwbit));
}

/// Activations and gradients in 1 x 128, weights in 128 x 128, float32 scales.
void UseBlockOperands(const OperandFormats& formats, Recipe& recipe) {
  constexpr int kGroup = 128;
  const auto grouped = [](Fp8Format format) { return Format::PerGroup(DTypeOf(format), kGroup, DType::kF32); };
  recipe.linear_input = grouped(formats.fabit);
  recipe.linear_input_t = recipe.linear_input;
  recipe.weight = Format::PerBlock128(DTypeOf(formats.fwbit));
  recipe.inner_gradient = grouped(formats.babit);
  recipe.outer_gradient = grouped(formats.bobit);
  recipe.gradient_t = grouped(formats.bwbit);
}

}  // namespace

Recipe PlainRecipe(DType compute, DType gradient, bool cache_weights) {
  const Format plain = Format::Plain(compute);
  return {.name = compute == DType::kF32 ? "f32" : "bf16",
          .compute = compute,
          .gradient = gradient,
          .kept_norm = plain,
          .kept_up_gate = plain,
          .linear_input = plain,
          .linear_input_t = plain,
          .weight = plain,
          .inner_gradient = plain,
          .outer_gradient = plain,
          .gradient_t = plain,
          .cache_weights = cache_weights};
}

Recipe MakeRecipe(const TrainConfig& config) {
  const QuantizeModelConfig& quantize = config.quantize_model;
  const DType compute = config.precision == Precision::kFp32 ? DType::kF32 : DType::kBF16;
  Recipe recipe = PlainRecipe(compute, GradientType(config), !quantize.weight_memory_efficient);
  if (!quantize.use_quantize_model) return recipe;
  const OperandFormats formats = quantize.Formats();
  switch (*quantize.use_quantize_model) {
    case QuantizeModel::kFp8Linear:
      recipe.name = "fp8linear";
      UsePerTensorOperands(formats, recipe);
      break;
    case QuantizeModel::kFp8DeepSeek:
      recipe.name = "fp8deepseek";
      UseBlockOperands(formats, recipe);
      break;
    case QuantizeModel::kCoatReal:
      recipe.name = "coat_real";
      UsePerTensorOperands(formats, recipe);
      recipe.kept_norm = recipe.linear_input;
      recipe.kept_up_gate = Format::PerGroup(DTypeOf(formats.fobit), static_cast<int>(quantize.group_size));
      break;
  }
  return recipe;
}

}  // namespace coat
