// What the front doors of the optimizer's ops refuse, and how they say so.

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "ops/adamw.h"
#include "ops/cast.h"
#include "ops/clip.h"
#include "ops/coat_adamw.h"
#include "ops/fill.h"
#include "ops/lion.h"
#include "ops/statistics.h"
#include "tests/support/error_of.h"
#include "tests/support/meta_views.h"

namespace coat {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const TensorView kOne = Meta({1}, DType::kF32);

class OptimizerOpErrorsTest : public testing::Test {
 protected:
  Context ctx_{DeviceKind::kMeta};

  template <class Args>
  std::string ErrorFrom(void (*op)(Context&, const Args&), const Args& args) {
    return ErrorOf<ArgumentError>([&] { op(ctx_, args); });
  }
};

class AdamWErrorsTest : public OptimizerOpErrorsTest {
 protected:
  static AdamWTensor Good() {
    return {.param = Meta({7, 3}, DType::kF32),
            .grad = Meta({7, 3}, DType::kBF16),
            .exp_avg = Meta({7, 3}, DType::kF32),
            .exp_avg_sq = Meta({7, 3}, DType::kF32),
            .grad_scale = kOne};
  }
  AdamWTensor tensor_ = Good();
  AdamWSettings settings_ = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8};
  /// Of a call with a good tensor before this one.
  std::string Error() {
    const AdamWTensor tensors[] = {Good(), tensor_};
    return ErrorFrom(AdamW, {.tensors = tensors, .settings = settings_});
  }
};

TEST_F(AdamWErrorsTest, AcceptsWhatTheContractNames) {
  EXPECT_NO_THROW(AdamW(ctx_, {.tensors = {&tensor_, 1}, .settings = settings_}));
  EXPECT_NO_THROW(AdamW(ctx_, {.tensors = {}, .settings = settings_}));
}

TEST_F(AdamWErrorsTest, RefusesMagnitudesOfAnotherNumberOfTensors) {
  const TensorView two = Meta({2}, DType::kF32);
  ExpectParts(ErrorFrom(AdamW, {.tensors = {&tensor_, 1}, .settings = settings_, .absmax = two}),
              {"AdamW absmax", "[2] f32", "[1] f32"});
  const LionWTensor lion = {.param = kOne, .grad = kOne, .exp_avg = kOne};
  ExpectParts(ErrorFrom(LionW, {.tensors = {&lion, 1}, .settings = {}, .absmax = two}),
              {"LionW absmax", "[2] f32", "[1] f32"});
  ExpectParts(ErrorFrom(CoatAdamW, {.tensors = {}, .settings = settings_, .absmax = kOne}),
              {"CoatAdamW absmax", "[1] f32", "[0] f32"});
}

TEST_F(AdamWErrorsTest, RefusesTensorsOfOtherShapesTypesAndDevices) {
  tensor_.grad = Meta({3, 7}, DType::kF32);
  ExpectParts(Error(), {"AdamW tensors[1] grad", "[3, 7] f32", "[7, 3]"});
  tensor_.grad = Meta({7, 3}, DType::kE4M3);
  ExpectParts(Error(), {"AdamW tensors[1] grad", "e4m3", "f32 or bf16"});
  tensor_.grad = Meta({7, 3}, DType::kF32);
  tensor_.exp_avg = Meta({7, 3}, DType::kBF16);
  ExpectParts(Error(), {"AdamW tensors[1] exp_avg ", "bf16", "[7, 3] f32"});
  tensor_.exp_avg = Meta({7, 3}, DType::kF32);
  tensor_.exp_avg_sq = Meta({21}, DType::kF32);
  ExpectParts(Error(), {"AdamW tensors[1] exp_avg_sq", "[21] f32", "[7, 3] f32"});
  tensor_.exp_avg_sq = Meta({7, 3}, DType::kF32);
  tensor_.grad_scale = Meta({3}, DType::kF32);
  ExpectParts(Error(), {"AdamW tensors[1] grad_scale", "[3] f32", "[1] f32"});
  tensor_.grad_scale = OnCpu({1}, DType::kF32);
  ExpectParts(Error(), {"AdamW tensors[1] grad_scale", "on cpu", "on meta"});
  tensor_.param = {};
  ExpectParts(Error(), {"AdamW tensors[1] param", "missing"});
}

TEST_F(AdamWErrorsTest, RefusesSettingsThatMakeNoUpdate) {
  const auto with = [&](auto change) {
    AdamWSettings settings = settings_;
    change(settings);
    return ErrorFrom(AdamW, {.tensors = {&tensor_, 1}, .settings = settings});
  };
  ExpectParts(with([](AdamWSettings& s) { s.eps = 0.0; }), {"AdamW eps is 0", "above 0"});
  ExpectParts(with([](AdamWSettings& s) { s.eps = 1e-60; }), {"AdamW eps is 1e-60", "above 0"});
  ExpectParts(with([](AdamWSettings& s) { s.eps = 1e-39; }), {"AdamW eps is 1e-39", "not subnormal"});
  ExpectParts(with([](AdamWSettings& s) { s.step = 0; }), {"AdamW step is 0", "1 at the first update"});
  ExpectParts(with([](AdamWSettings& s) { s.beta1 = 1.0; }), {"AdamW betas", "1 and 0.95", "below 1"});
  ExpectParts(with([](AdamWSettings& s) { s.beta2 = -0.1; }), {"AdamW betas", "-0.1", "from 0"});
  ExpectParts(with([](AdamWSettings& s) { s.learning_rate = kNaN; }), {"AdamW learning_rate is nan", "finite"});
  tensor_.weight_decay = kNaN;
  ExpectParts(Error(), {"AdamW tensors[1] weight_decay is nan", "finite"});
}

TEST_F(OptimizerOpErrorsTest, LionWRefusesAMomentOfAnotherShape) {
  LionWTensor tensor = {
      .param = Meta({5}, DType::kF32), .grad = Meta({5}, DType::kF32), .exp_avg = Meta({5}, DType::kF32)};
  const LionWArgs args = {.tensors = {&tensor, 1}, .settings = {}};
  EXPECT_NO_THROW(LionW(ctx_, args));
  tensor.exp_avg = Meta({6}, DType::kF32);
  ExpectParts(ErrorFrom(LionW, args), {"LionW tensors[0] exp_avg", "[6] f32", "[5] f32"});
  tensor.exp_avg = Meta({5}, DType::kF32);
  tensor.param = Meta({5}, DType::kBF16);
  ExpectParts(ErrorFrom(LionW, args), {"LionW tensors[0] param", "bf16", "[5] f32"});
}

TEST_F(OptimizerOpErrorsTest, LionWRefusesSettingsThatMakeNoUpdate) {
  LionWTensor tensor = {.param = kOne, .grad = kOne, .exp_avg = kOne};
  const auto with = [&](const LionWSettings& settings) {
    return ErrorFrom(LionW, {.tensors = {&tensor, 1}, .settings = settings});
  };
  ExpectParts(with({.learning_rate = kNaN}), {"LionW learning_rate is nan", "finite"});
  ExpectParts(with({.beta1 = 1.0}), {"LionW betas are 1 and 0", "below 1"});
  ExpectParts(with({.beta2 = -0.1}), {"LionW betas are 0 and -0.1", "from 0"});
  tensor.weight_decay = kNaN;
  ExpectParts(with({}), {"LionW tensors[0] weight_decay is nan", "finite"});
}

class CoatAdamWErrorsTest : public OptimizerOpErrorsTest {
 protected:
  static ExpandedMoment Moment(std::int64_t groups) {
    return {Meta({300}, DType::kE4M3), Meta({groups}, DType::kF32), Meta({groups}, DType::kF32)};
  }
  CoatAdamWTensor tensor_ = {.param = Meta({300}, DType::kF32),
                             .grad = Meta({300}, DType::kBF16),
                             .exp_avg = Moment(3),
                             .exp_avg_sq = Moment(3)};
  CoatAdamWArgs args_ = {.tensors = {&tensor_, 1},
                         .settings = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8}};
  std::string Error() { return ErrorFrom(CoatAdamW, args_); }
};

TEST_F(CoatAdamWErrorsTest, AcceptsEitherFormatAndNoExpansion) {
  EXPECT_NO_THROW(CoatAdamW(ctx_, args_));
  tensor_.exp_avg_sq.codes = Meta({300}, DType::kE5M2);
  tensor_.exp_avg.exponent = {};
  EXPECT_NO_THROW(CoatAdamW(ctx_, args_));
}

TEST_F(CoatAdamWErrorsTest, RefusesTensorsInDifferentFormats) {
  CoatAdamWTensor tensors[] = {tensor_, tensor_};
  args_.tensors = tensors;
  EXPECT_NO_THROW(CoatAdamW(ctx_, args_));
  tensors[1].exp_avg_sq.codes = Meta({300}, DType::kE5M2);
  ExpectParts(Error(), {"CoatAdamW tensors[1] exp_avg_sq codes", "e5m2", "e4m3"});
  tensors[1] = tensor_;
  tensors[1].exp_avg.exponent = {};
  ExpectParts(Error(), {"CoatAdamW tensors[1] exp_avg", "not expanded", "tensors[0]"});
}

TEST_F(CoatAdamWErrorsTest, RefusesGroupsThatAreNoMultipleOf32UpTo256) {
  for (const std::int64_t group : {0, -32, 16, 100, 288}) {
    args_.group = group;
    ExpectParts(Error(), {"CoatAdamW group is " + std::to_string(group), "multiple of 32 from 32 to 256"});
  }
}

TEST_F(CoatAdamWErrorsTest, RefusesMetadataForOtherGroups) {
  args_.group = 64;
  ExpectParts(Error(), {"CoatAdamW tensors[0] exp_avg absmax", "[3] f32", "[5] f32"});
  args_.group = 128;
  tensor_.exp_avg_sq.exponent = Meta({2}, DType::kF32);
  ExpectParts(Error(), {"CoatAdamW tensors[0] exp_avg_sq exponent", "[2] f32", "[3] f32"});
}

TEST_F(CoatAdamWErrorsTest, RefusesMomentsThatAreNotFp8) {
  tensor_.exp_avg.codes = Meta({300}, DType::kF32);
  ExpectParts(Error(), {"CoatAdamW tensors[0] exp_avg codes", "f32", "fp8"});
  tensor_.exp_avg.codes = {};
  ExpectParts(Error(), {"CoatAdamW tensors[0] exp_avg codes", "fp8"});
  tensor_.exp_avg.codes = Meta({299}, DType::kE4M3);
  ExpectParts(Error(), {"CoatAdamW tensors[0] exp_avg codes", "[299] e4m3", "[300] e4m3"});
}

TEST_F(CoatAdamWErrorsTest, RefusesAnExpandMinThatMakesNoSteps) {
  args_.expand_min = 0;
  ExpectParts(Error(), {"CoatAdamW expand_min is 0", "1 to"});
  args_.expand_min = 16;
  args_.settings.step = 0;
  ExpectParts(Error(), {"CoatAdamW step is 0"});
}

TEST_F(OptimizerOpErrorsTest, NormsAndStatisticsRefuseCodesAndOtherOutputs) {
  ConstTensorView x = Meta({2, 3}, DType::kBF16);
  EXPECT_NO_THROW(L2Norms(ctx_, {.tensors = {&x, 1}, .norms = kOne}));
  ExpectParts(ErrorFrom(L2Norms, {.tensors = {&x, 1}, .norms = Meta({2}, DType::kF32)}),
              {"L2Norms norms", "[2] f32", "[1] f32"});
  x = Meta({2, 3}, DType::kE5M2);
  ExpectParts(ErrorFrom(L2Norms, {.tensors = {&x, 1}, .norms = kOne}), {"L2Norms tensors[0]", "e5m2", "f32 or bf16"});
  EXPECT_NO_THROW(Statistics(ctx_, {.x = Meta({2}, DType::kF32), .statistics = Meta({4}, DType::kF32)}));
  ExpectParts(ErrorFrom(Statistics, {.x = Meta({0}, DType::kF32), .statistics = Meta({4}, DType::kF32)}),
              {"Statistics x", "[0] f32", "at least one element"});
  ExpectParts(ErrorFrom(Statistics, {.x = Meta({2}, DType::kF32), .statistics = kOne}),
              {"Statistics statistics", "[1] f32", "[4] f32"});
}

TEST_F(OptimizerOpErrorsTest, ClippingRefusesLimitsThatAreNoNumbersAboveZero) {
  const TensorView three = Meta({3}, DType::kF32);
  EXPECT_NO_THROW(TotalNorm(ctx_, {.norms = three, .total_norm = kOne}));
  ExpectParts(ErrorFrom(TotalNorm, {.norms = Meta({3, 1}, DType::kF32), .total_norm = kOne}),
              {"TotalNorm norms", "[3, 1]", "rank 1"});
  for (const float bad : {0.0f, -1.0f, static_cast<float>(kNaN)}) {
    ExpectParts(ErrorFrom(ClipCoefficients, {.total_norm = kOne, .coefficients = three, .max_norm = bad}),
                {"ClipCoefficients max_norm", "above 0"});
    ExpectParts(
        ErrorFrom(AdaptiveClipCoefficients,
                  {.norms = three, .norm_averages = three, .coefficients = three, .max_norm_ratio = bad, .beta = 0.9f}),
        {"AdaptiveClipCoefficients max_norm_ratio", "above 0"});
  }
  ExpectParts(ErrorFrom(AdaptiveClipCoefficients,
                        {.norms = three, .norm_averages = three, .coefficients = three, .beta = 1.0f}),
              {"AdaptiveClipCoefficients beta is 1", "below 1"});
  ExpectParts(ErrorFrom(AdaptiveClipCoefficients, {.norms = three, .norm_averages = kOne, .coefficients = three}),
              {"AdaptiveClipCoefficients norm_averages", "[1] f32", "[3] f32"});
}

TEST_F(OptimizerOpErrorsTest, FillAndCastRefuseCodesAndNumbersThatAreNotFinite) {
  const TensorView x = Meta({4, 4}, DType::kF32);
  ExpectParts(ErrorFrom(Fill, {.x = Meta({4}, DType::kE4M3)}), {"Fill x", "e4m3", "f32 or bf16"});
  EXPECT_NO_THROW(FillNormal(ctx_, {.x = x, .std = 0.0f}));
  ExpectParts(ErrorFrom(FillNormal, {.x = Meta({4}, DType::kBF16)}), {"FillNormal x", "bf16", "f32"});
  ExpectParts(ErrorFrom(FillNormal, {.x = x, .std = -1.0f}), {"FillNormal std is -1", "finite number from 0"});
  ExpectParts(ErrorFrom(FillNormal, {.x = x, .std = static_cast<float>(kNaN)}), {"FillNormal std is nan"});
  ExpectParts(ErrorFrom(FillNormal, {.x = x, .cutoff = -3.0f}), {"FillNormal cutoff is -3"});
  ExpectParts(ErrorFrom(FillNormal, {.x = x, .offset = -1}), {"FillNormal offset is -1"});
  ExpectParts(ErrorFrom(Cast, {.x = x, .y = Meta({16}, DType::kBF16)}), {"Cast y", "[16] bf16", "[4, 4]"});
  ExpectParts(ErrorFrom(Cast, {.x = x, .y = Meta({4, 4}, DType::kE4M3)}), {"Cast y", "e4m3", "f32 or bf16"});
  ExpectParts(ErrorFrom(Cast, {.x = Meta({4, 4}, DType::kE4M3), .y = x}), {"Cast x", "e4m3", "f32 or bf16"});
  ExpectParts(ErrorFrom(Cast, {.x = x, .y = OnCpu({4, 4}, DType::kF32)}), {"Cast y", "cpu"});
  ExpectParts(ErrorFrom(Cast, {.x = {}, .y = x}), {"Cast x", "missing"});
}

}  // namespace
}  // namespace coat
