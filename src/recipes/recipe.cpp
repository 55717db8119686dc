#include "recipes/recipe.h"

#include "base/error.h"

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
void UsePerTensorOperands(const QuantizeModelConfig& quantize, Recipe& recipe) {
  const OperandFormats formats = quantize.Formats();
  const FastAccumulation fast = quantize.FastProducts();
  recipe.fast_forward = fast != FastAccumulation::kNone;
  recipe.fast_input_gradient = fast != FastAccumulation::kNone;
  recipe.fast_weight_gradient = fast == FastAccumulation::kAll;
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

bool Recipe::Recomputes(std::int64_t layer) const {
  if (!checkpointing) return false;
  switch (*checkpointing) {
    case ActivationCheckpointing::kWholeLayer:
      return true;
    case ActivationCheckpointing::kOneInTwo:
      return layer % 2 == 0;
    case ActivationCheckpointing::kOneInThree:
      return layer % 3 == 0;
    case ActivationCheckpointing::kOneInFour:
      return layer % 4 == 0;
    case ActivationCheckpointing::kOneInEight:
      return layer % 8 == 0;
    case ActivationCheckpointing::kTwoInThree:
      return layer % 3 != 0;
    case ActivationCheckpointing::kThreeInFour:
      return layer % 4 != 0;
    case ActivationCheckpointing::kFineGrained:
      break;
  }
  throw ArgumentError("checkpointing inside a block (fine_grained) is not implemented");
}

Recipe PlainRecipe(DType compute, DType gradient, WeightCache weight_cache) {
  const Format plain = Format::Plain(compute);
  return {.name = compute == DType::kF32 ? "f32" : "bf16",
          .compute = compute,
          .gradient = gradient,
          .kept_input = plain,
          .kept_output = plain,
          .linear_input = plain,
          .linear_input_t = plain,
          .weight = plain,
          .inner_gradient = plain,
          .outer_gradient = plain,
          .gradient_t = plain,
          .weight_cache = weight_cache};
}

Recipe MakeRecipe(const TrainConfig& config) {
  const QuantizeModelConfig& quantize = config.quantize_model;
  const DType compute = config.precision == Precision::kFp32 ? DType::kF32 : DType::kBF16;
  Recipe recipe = PlainRecipe(compute, GradientType(config), quantize.CachedWeights());
  recipe.checkpointing = config.activation_checkpointing;
  if (!quantize.use_quantize_model) return recipe;
  const OperandFormats formats = quantize.Formats();
  switch (*quantize.use_quantize_model) {
    case QuantizeModel::kFp8Linear:
      recipe.name = "fp8linear";
      UsePerTensorOperands(quantize, recipe);
      break;
    case QuantizeModel::kFp8DeepSeek:
      recipe.name = "fp8deepseek";
      UseBlockOperands(formats, recipe);
      break;
    case QuantizeModel::kCoatReal:
      recipe.name = "coat_real";
      UsePerTensorOperands(quantize, recipe);
      recipe.kept_input = recipe.linear_input;
      recipe.kept_output = Format::PerGroup(DTypeOf(formats.fobit), static_cast<int>(quantize.group_size));
      break;
  }
  return recipe;
}

}  // namespace coat
