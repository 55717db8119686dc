#include "recipes/recipe.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

TrainConfig WithRecipe(QuantizeModel recipe) {
  TrainConfig config;
  config.precision = Precision::kAmpBf16;
  config.quantize_model.use_quantize_model = recipe;
  return config;
}

TEST(Recipe, OfCoatKeepsNormsPerTensorAndTheMlpInGroups) {
  TrainConfig config = WithRecipe(QuantizeModel::kCoatReal);
  config.quantize_model.group_size = 32;
  config.quantize_model.fobit = Fp8Format::kE5M2;
  const Recipe recipe = MakeRecipe(config);
  EXPECT_EQ(recipe.kept_input, Format::PerTensor(DType::kE4M3));
  EXPECT_EQ(recipe.kept_output, Format::PerGroup(DType::kE5M2, 32));
  EXPECT_EQ(recipe.inner_gradient, Format::PerTensor(DType::kE5M2));
  EXPECT_EQ(recipe.weight_cache, WeightCache::kBoth);
  EXPECT_TRUE(recipe.KeepsGroups());
}

TEST(Recipe, GivesEachBitKeyItsOwnTensor) {
  TrainConfig config = WithRecipe(QuantizeModel::kFp8Linear);
  config.quantize_model.fabit = Fp8Format::kE5M2;
  config.quantize_model.babit = Fp8Format::kE4M3;
  config.quantize_model.bwbit = Fp8Format::kE4M3;
  config.quantize_model.weight_memory_efficient = true;
  const Recipe recipe = MakeRecipe(config);
  EXPECT_EQ(recipe.linear_input.dtype, DType::kE5M2);
  EXPECT_EQ(recipe.linear_input_t.dtype, DType::kE5M2);
  EXPECT_EQ(recipe.weight.dtype, DType::kE4M3);
  EXPECT_EQ(recipe.inner_gradient.dtype, DType::kE4M3);
  EXPECT_EQ(recipe.outer_gradient.dtype, DType::kE5M2);
  EXPECT_EQ(recipe.gradient_t.dtype, DType::kE4M3);
  EXPECT_EQ(recipe.kept_input, Format::Plain(DType::kBF16));
  EXPECT_EQ(recipe.weight_cache, WeightCache::kNone);
}

TEST(Recipe, SumsFastWhereAsked) {
  TrainConfig config = WithRecipe(QuantizeModel::kCoatReal);
  EXPECT_TRUE(MakeRecipe(config).fast_forward);
  EXPECT_TRUE(MakeRecipe(config).fast_input_gradient);
  EXPECT_FALSE(MakeRecipe(config).fast_weight_gradient);
  config.quantize_model.fast_accumulation = FastAccumulation::kAll;
  EXPECT_TRUE(MakeRecipe(config).fast_weight_gradient);
  config.quantize_model.fast_accumulation = FastAccumulation::kNone;
  EXPECT_FALSE(MakeRecipe(config).fast_forward);
  EXPECT_FALSE(MakeRecipe(config).fast_input_gradient);
  EXPECT_FALSE(MakeRecipe(WithRecipe(QuantizeModel::kFp8DeepSeek)).fast_forward);
  EXPECT_FALSE(PlainRecipe(DType::kBF16, DType::kF32, WeightCache::kBoth).fast_forward);
}

TEST(Recipe, OfDeepSeekScalesByBlocksInFloat32) {
  const Recipe recipe = MakeRecipe(WithRecipe(QuantizeModel::kFp8DeepSeek));
  EXPECT_EQ(recipe.linear_input, Format::PerGroup(DType::kE4M3, 128, DType::kF32));
  EXPECT_EQ(recipe.weight, Format::PerBlock128(DType::kE4M3));
  EXPECT_EQ(recipe.gradient_t, Format::PerGroup(DType::kE4M3, 128, DType::kF32));
  EXPECT_FALSE(recipe.PerTensor());
}

TEST(Recipe, AccumulatesGradientsInFloat32UnlessAskedNotTo) {
  TrainConfig config;
  config.precision = Precision::kAmpBf16;
  EXPECT_EQ(MakeRecipe(config).gradient, DType::kF32);
  config.gradient_precision = GradientPrecision::kBf16;
  EXPECT_EQ(MakeRecipe(config).gradient, DType::kBF16);
  config.precision = Precision::kFp32;
  EXPECT_EQ(MakeRecipe(config).gradient, DType::kF32);
  EXPECT_EQ(MakeRecipe(config).name, "f32");
}

}  // namespace
}  // namespace coat
