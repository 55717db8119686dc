// What the front doors of quantization and matrix products refuse, and how they say so.

#include <gtest/gtest.h>

#include <string>

#include "ops/gemm.h"
#include "ops/quantize.h"
#include "tests/support/error_of.h"
#include "tests/support/meta_views.h"

namespace coat {
namespace {

constexpr Format kF32 = Format::Plain(DType::kF32);
constexpr Format kBF16 = Format::Plain(DType::kBF16);
constexpr Format kTensor = Format::PerTensor(DType::kE4M3);
constexpr Format kTensorE5M2 = Format::PerTensor(DType::kE5M2);
constexpr Format kGroup16 = Format::PerGroup(DType::kE4M3, 16);
constexpr Format kGroup128 = Format::PerGroup(DType::kE4M3, 128, DType::kF32);
constexpr Format kBlock = Format::PerBlock128(DType::kE4M3);

const TensorView kOne = Meta({1}, DType::kF32);

class QuantizedOpErrorsTest : public testing::Test {
 protected:
  Context ctx_{DeviceKind::kMeta};

  template <class Args>
  std::string ErrorFrom(void (*op)(Context&, const Args&), const Args& args) {
    return ErrorOf<ArgumentError>([&] { op(ctx_, args); });
  }
};

// Quantize --------------------------------------------------------------------------------------------------------

TEST_F(QuantizedOpErrorsTest, AbsMaxRefusesCodesAndAnythingButOneFloat) {
  EXPECT_NO_THROW(AbsMax(ctx_, {.x = Meta({3, 5}, DType::kBF16), .absmax = kOne}));
  ExpectParts(ErrorFrom(AbsMax, {.x = Meta({3, 5}, DType::kE4M3), .absmax = kOne}),
              {"AbsMax x", "e4m3", "f32 or bf16"});
  ExpectParts(ErrorFrom(AbsMax, {.x = Meta({3, 5}, DType::kF32), .absmax = Meta({2}, DType::kF32)}),
              {"AbsMax absmax", "[2] f32", "[1] f32"});
  ExpectParts(ErrorFrom(AbsMax, {.x = Meta({3, 5}, DType::kF32), .absmax = Meta({1}, DType::kBF16)}),
              {"AbsMax absmax", "bf16", "[1] f32"});
  ExpectParts(ErrorFrom(AbsMax, {.x = OnCpu({3, 5}, DType::kF32), .absmax = kOne}), {"AbsMax x", "on cpu", "on meta"});
  ExpectParts(ErrorFrom(AbsMax, {.x = {}, .absmax = kOne}), {"AbsMax x", "missing"});
}

class QuantizeErrorsTest : public QuantizedOpErrorsTest {
 protected:
  QuantizeArgs args_ = {.x = Meta({256, 128}, DType::kBF16),
                        .absmax = kOne,
                        .y = Meta({256, 128}, kTensor),
                        .y_t = Meta({128, 256}, kTensorE5M2)};
  std::string Error() { return ErrorFrom(Quantize, args_); }
};

TEST_F(QuantizeErrorsTest, AcceptsWhatTheContractNames) {
  EXPECT_NO_THROW(Quantize(ctx_, args_));
  args_.y_t = {};
  EXPECT_NO_THROW(Quantize(ctx_, args_));
  EXPECT_NO_THROW(Quantize(ctx_, {.x = args_.x, .y_t = Meta({128, 256}, kBlock)}));
  EXPECT_NO_THROW(Quantize(ctx_, {.x = args_.x, .y = Meta({256, 128}, kGroup16), .y_t = Meta({128, 256}, kGroup128)}));
}

TEST_F(QuantizeErrorsTest, RefusesNoOutputAndNoInput) {
  ExpectParts(ErrorFrom(Quantize, {.x = args_.x, .absmax = kOne}), {"Quantize", "neither y nor y_t"});
  args_.x = {};
  ExpectParts(Error(), {"Quantize x", "missing"});
}

TEST_F(QuantizeErrorsTest, WantsAbsmaxForTensorsAndOnlyForThem) {
  args_.absmax = {};
  ExpectParts(Error(), {"Quantize absmax", "missing"});
  args_.y = Meta({256, 128}, kGroup16);
  ExpectParts(Error(), {"Quantize absmax", "missing"});
  ExpectParts(ErrorFrom(Quantize, {.x = args_.x, .absmax = kOne, .y = Meta({256, 128}, kGroup16)}),
              {"Quantize absmax", "no output is scaled per tensor"});
}

TEST_F(QuantizeErrorsTest, RefusesOutputsOfOtherShapes) {
  const QuantizeArgs good = args_;
  args_.y = Meta({128, 256}, kTensor);
  ExpectParts(Error(), {"Quantize y is", "[128, 256]", "[256, 128]"});
  args_ = good;
  args_.y_t = Meta({256, 128}, kTensorE5M2);
  ExpectParts(Error(), {"Quantize y_t is", "[256, 128]", "[128, 256]"});
  args_ = good;
  args_.x = Meta({4, 64, 128}, DType::kBF16);
  ExpectParts(Error(), {"Quantize x is", "[4, 64, 128]", "rank 2"});
}

TEST_F(QuantizeErrorsTest, RefusesFormatsThatAreNone) {
  const QuantizeArgs good = args_;
  args_.y = Meta({256, 128}, kBF16);
  ExpectParts(Error(), {"Quantize y is", "bf16", "fp8/t or fp8/gG or fp8/b128"});
  args_ = good;
  args_.y.format.dtype = DType::kE5M2;
  ExpectParts(Error(), {"Quantize y", "e4m3 codes", "e5m2/t"});
  args_ = good;
  args_.y = {Meta({256, 128}, DType::kU8), kOne, {DType::kU8, Scaling::kTensor, 0, DType::kF32}};
  ExpectParts(Error(), {"Quantize y", "u8/t", "e4m3 or e5m2"});
  args_ = good;
  args_.x = Meta({256, 128}, DType::kE4M3);
  ExpectParts(Error(), {"Quantize x", "e4m3", "f32 or bf16"});
}

TEST_F(QuantizeErrorsTest, RefusesGroupsAndBlocksThatDoNotFit) {
  args_ = {.x = Meta({130, 72}, DType::kF32)};
  args_.y = {Meta({130, 72}, DType::kE4M3), Meta({130, 4}, DType::kBF16), kGroup16};
  ExpectParts(Error(), {"Quantize y", "[130, 72]", "groups of 16"});
  args_.y = {};
  args_.y_t = {Meta({72, 130}, DType::kE4M3), Meta({72, 8}, DType::kBF16), kGroup16};
  ExpectParts(Error(), {"Quantize y_t", "[72, 130]", "groups of 16"});
  args_.y_t = {Meta({72, 130}, DType::kE4M3), Meta({1, 1}, DType::kF32), kBlock};
  ExpectParts(Error(), {"Quantize y_t", "[72, 130]", "128 x 128 blocks"});
  for (const int group : {0, 8, 24, 256, -16}) {
    args_.y_t.format = Format::PerGroup(DType::kE4M3, group);
    ExpectParts(Error(), {"Quantize y_t", "groups of " + std::to_string(group), "16, 32, 64 or 128"});
  }
}

TEST_F(QuantizeErrorsTest, RefusesScalesOfAnotherShapeTypeOrDevice) {
  const QuantizeArgs good = args_;
  args_.y.scales = Meta({2}, DType::kF32);
  ExpectParts(Error(), {"Quantize y.scales", "[2] f32", "[1] f32"});
  args_ = good;
  args_.y.scales = {};
  ExpectParts(Error(), {"Quantize y.scales", "missing"});
  args_ = good;
  args_.y_t.scales = OnCpu({1}, DType::kF32);
  ExpectParts(Error(), {"Quantize y_t.scales", "on cpu", "on meta"});
  args_ = good;
  // The ops read the scale of a tensor or block as a float, whatever the format claims.
  args_.y.format.scale_dtype = DType::kBF16;
  args_.y.scales = Meta({1}, DType::kBF16);
  ExpectParts(Error(), {"Quantize y", "bf16 scales", "f32"});
  args_ = {.x = Meta({128, 128}, DType::kF32), .y = Meta({128, 128}, kBlock)};
  args_.y.format.scale_dtype = DType::kBF16;
  args_.y.scales = Meta({1, 1}, DType::kBF16);
  ExpectParts(Error(), {"Quantize y", "bf16 scales", "f32"});
  args_.y = Meta({128, 128}, Format::PerGroup(DType::kE4M3, 16, DType::kI32));
  ExpectParts(Error(), {"Quantize y", "i32 scales", "f32 or bf16"});
}

TEST_F(QuantizedOpErrorsTest, DequantizeRefusesWhatHasNoScalesAndOtherShapes) {
  EXPECT_NO_THROW(Dequantize(ctx_, {.x = Meta({7, 32}, kGroup16), .y = Meta({7, 32}, DType::kF32)}));
  ExpectParts(ErrorFrom(Dequantize, {.x = Meta({7, 32}, kBF16), .y = Meta({7, 32}, DType::kF32)}),
              {"Dequantize x", "bf16", "fp8/t"});
  ExpectParts(ErrorFrom(Dequantize, {.x = Meta({7, 32}, kGroup16), .y = Meta({32, 7}, DType::kF32)}),
              {"Dequantize y", "[32, 7]", "[7, 32]"});
  ExpectParts(ErrorFrom(Dequantize, {.x = Meta({7, 32}, kGroup16), .y = Meta({7, 32}, DType::kE5M2)}),
              {"Dequantize y", "e5m2", "f32 or bf16"});
  ExpectParts(ErrorFrom(Dequantize, {.x = Meta({7, 32}, kGroup16), .y = OnCpu({7, 32}, DType::kF32)}),
              {"Dequantize y", "on cpu", "on meta"});
}

TEST_F(QuantizedOpErrorsTest, TransposeCodesRefusesOtherTypesAndShapes) {
  EXPECT_NO_THROW(TransposeCodes(ctx_, {.x = Meta({7, 9}, DType::kE5M2), .y = Meta({9, 7}, DType::kE5M2)}));
  ExpectParts(ErrorFrom(TransposeCodes, {.x = Meta({7, 9}, DType::kF32), .y = Meta({9, 7}, DType::kF32)}),
              {"TransposeCodes x", "f32", "e4m3 or e5m2"});
  ExpectParts(ErrorFrom(TransposeCodes, {.x = Meta({7, 9}, DType::kE5M2), .y = Meta({9, 7}, DType::kE4M3)}),
              {"TransposeCodes y", "e4m3", "[9, 7] e5m2"});
  ExpectParts(ErrorFrom(TransposeCodes, {.x = Meta({7, 9}, DType::kE5M2), .y = Meta({7, 9}, DType::kE5M2)}),
              {"TransposeCodes y", "[7, 9]", "[9, 7] e5m2"});
}

// Gemm ------------------------------------------------------------------------------------------------------------

class GemmErrorsTest : public QuantizedOpErrorsTest {
 protected:
  /// a [M, K] and b [N, K] in these formats, with d [M, N] in f32.
  GemmArgs Args(Format a, Format b, DType d = DType::kF32) {
    return {.a = Meta({128, 256}, a), .b = Meta({384, 256}, b), .d = Meta({128, 384}, d)};
  }
  std::string Error(const GemmArgs& args) { return ErrorFrom(Gemm, args); }
};

TEST_F(GemmErrorsTest, AcceptsTheRowsOfTheContract) {
  const Format accepted[][2] = {
      {kF32, kF32}, {kBF16, kBF16}, {kTensor, kTensorE5M2}, {kGroup128, kBlock}, {kGroup128, kGroup128}};
  for (const auto& [a, b] : accepted) EXPECT_NO_THROW(Gemm(ctx_, Args(a, b))) << a.ToString() << " " << b.ToString();
}

TEST_F(GemmErrorsTest, RefusesPairsThatHaveNoProduct) {
  ExpectParts(Error(Args(kTensorE5M2, kTensorE5M2)), {"Gemm", "e5m2/t by e5m2/t", "not e5m2 x e5m2"});
  const Format group_e5m2 = Format::PerGroup(DType::kE5M2, 128, DType::kF32);
  ExpectParts(Error(Args(group_e5m2, Format::PerBlock128(DType::kE5M2))), {"Gemm", "not e5m2 x e5m2"});
  ExpectParts(Error(Args(kF32, kBF16)), {"Gemm", "f32 by bf16"});
  ExpectParts(Error(Args(kBF16, kTensor)), {"Gemm", "bf16 by e4m3/t"});
  ExpectParts(Error(Args(kTensor, kBlock)), {"Gemm", "e4m3/t by e4m3/b128"});
  ExpectParts(Error(Args(kBlock, kGroup128)), {"Gemm", "e4m3/b128 by e4m3/g128"});
  ExpectParts(Error(Args(kGroup16, kGroup16)), {"Gemm", "e4m3/g16 by e4m3/g16"});
  const Format bf16_scales = Format::PerGroup(DType::kE4M3, 128);
  ExpectParts(Error(Args(bf16_scales, kBlock)), {"Gemm", "e4m3/g128 by e4m3/b128", "f32 scales"});
}

TEST_F(GemmErrorsTest, RefusesFp8ThatIsNotContiguousInK) {
  for (const GemmLayout layout : {GemmLayout::kNN, GemmLayout::kTN}) {
    GemmArgs args = Args(kTensor, kTensor);
    args.layout = layout;
    ExpectParts(Error(args), {"Gemm", "FP8", "kNT"});
  }
}

TEST_F(GemmErrorsTest, RefusesInnerExtentsThatDifferInEveryLayout) {
  GemmArgs args = {.a = Meta({5, 7}, kF32), .b = Meta({3, 8}, kF32), .d = Meta({5, 3}, DType::kF32)};
  ExpectParts(Error(args), {"Gemm a is [5, 7]", "b is [3, 8]", "7 and 8"});
  args.layout = GemmLayout::kNN;
  ExpectParts(Error(args), {"7 and 3"});
  args.layout = GemmLayout::kTN;
  ExpectParts(Error(args), {"5 and 3"});
}

TEST_F(GemmErrorsTest, RefusesAnEmptyInnerExtent) {
  const GemmArgs args = {.a = Meta({5, 0}, kF32), .b = Meta({3, 0}, kF32), .d = Meta({5, 3}, DType::kF32)};
  ExpectParts(Error(args), {"Gemm a is [5, 0]", "must not be empty"});
}

TEST_F(GemmErrorsTest, RefusesResultsOfAnotherShapeTypeOrDevice) {
  GemmArgs args = Args(kBF16, kBF16);
  args.d = Meta({384, 128}, DType::kF32);
  ExpectParts(Error(args), {"Gemm d", "[384, 128]", "[128, 384]"});
  args.d = Meta({128, 384}, DType::kE4M3);
  ExpectParts(Error(args), {"Gemm d", "e4m3", "f32 or bf16"});
  args.d = OnCpu({128, 384}, DType::kF32);
  ExpectParts(Error(args), {"Gemm d", "on cpu", "on meta"});
  ExpectParts(Error(Args(kF32, kF32, DType::kBF16)), {"Gemm d is bf16", "f32"});
  args = Args(kBF16, kBF16);
  args.b.codes = OnCpu({384, 256}, DType::kBF16);
  ExpectParts(Error(args), {"Gemm b", "on cpu", "on meta"});
  args = Args(kBF16, kBF16);
  args.a = {};
  ExpectParts(Error(args), {"Gemm a", "missing"});
}

}  // namespace
}  // namespace coat
