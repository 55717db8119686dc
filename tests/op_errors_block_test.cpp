// What the front doors of LayerNorm and SwiGLU refuse, and how they say so.

#include <gtest/gtest.h>

#include <string>

#include "ops/layer_norm.h"
#include "ops/swiglu.h"
#include "tests/support/error_of.h"
#include "tests/support/meta_views.h"

namespace coat {
namespace {

constexpr Format kF32 = Format::Plain(DType::kF32);
constexpr Format kTensor = Format::PerTensor(DType::kE4M3);
constexpr Format kTensorE5M2 = Format::PerTensor(DType::kE5M2);
constexpr Format kGroup16 = Format::PerGroup(DType::kE4M3, 16);

const TensorView kOne = Meta({1}, DType::kF32);

class BlockOpErrorsTest : public testing::Test {
 protected:
  Context ctx_{DeviceKind::kMeta};

  template <class Args>
  std::string ErrorFrom(void (*op)(Context&, const Args&), const Args& args) {
    return ErrorOf<ArgumentError>([&] { op(ctx_, args); });
  }
};

// LayerNorm -------------------------------------------------------------------------------------------------------

class LayerNormErrorsTest : public BlockOpErrorsTest {
 protected:
  AddLayerNormArgs add_ = {.x = Meta({6, 10}, DType::kBF16),
                           .branch = Meta({6, 10}, DType::kBF16),
                           .mean = Meta({6}, DType::kF32),
                           .rstd = Meta({6}, DType::kF32),
                           .y = Meta({6, 10}, DType::kBF16),
                           .absmax = kOne};
  NormalizeQuantizeArgs normalize_ = {.x = Meta({6, 10}, DType::kF32),
                                      .mean = Meta({6}, DType::kF32),
                                      .rstd = Meta({6}, DType::kF32),
                                      .absmax = kOne,
                                      .y = Meta({6, 10}, kTensor)};
  LayerNormBackwardArgs backward_ = {.y = Meta({6, 10}, kTensor),
                                     .rstd = Meta({6}, DType::kF32),
                                     .d_y = Meta({6, 10}, DType::kBF16),
                                     .d_x = Meta({6, 10}, DType::kBF16),
                                     .absmax = kOne};
  std::string Add() { return ErrorFrom(AddLayerNorm, add_); }
  std::string Normalize() { return ErrorFrom(NormalizeQuantize, normalize_); }
  std::string Backward() { return ErrorFrom(LayerNormBackward, backward_); }
};

TEST_F(LayerNormErrorsTest, AcceptsWhatTheContractNames) {
  EXPECT_NO_THROW(AddLayerNorm(ctx_, add_));
  EXPECT_NO_THROW(AddLayerNorm(ctx_, {.x = add_.x, .mean = add_.mean, .rstd = add_.rstd}));
  EXPECT_NO_THROW(NormalizeQuantize(ctx_, normalize_));
  EXPECT_NO_THROW(LayerNormBackward(ctx_, backward_));
  backward_.y = Meta({6, 10}, kF32);
  backward_.absmax = {};
  EXPECT_NO_THROW(LayerNormBackward(ctx_, backward_));
}

TEST_F(LayerNormErrorsTest, AddRefusesEmptyRowsAndOperandsThatDiffer) {
  const AddLayerNormArgs good = add_;
  add_.x = Meta({6, 0}, DType::kBF16);
  ExpectParts(Add(), {"AddLayerNorm x", "[6, 0]", "empty"});
  add_ = good;
  add_.branch = Meta({6, 10}, DType::kF32);
  ExpectParts(Add(), {"AddLayerNorm branch", "f32", "[6, 10] bf16"});
  add_ = good;
  add_.mean = {};
  ExpectParts(Add(), {"AddLayerNorm mean", "missing"});
  add_ = good;
  add_.rstd = Meta({10}, DType::kF32);
  ExpectParts(Add(), {"AddLayerNorm rstd", "[10] f32", "[6] f32"});
  add_ = good;
  add_.y = Meta({6, 10}, DType::kE4M3);
  ExpectParts(Add(), {"AddLayerNorm y", "e4m3", "[6, 10] bf16"});
  add_ = good;
  add_.absmax = OnCpu({1}, DType::kF32);
  ExpectParts(Add(), {"AddLayerNorm absmax", "on cpu", "on meta"});
}

TEST_F(LayerNormErrorsTest, NormalizeRefusesMissingStatisticsAndGroups) {
  const NormalizeQuantizeArgs good = normalize_;
  normalize_.absmax = {};
  ExpectParts(Normalize(), {"NormalizeQuantize absmax", "missing"});
  normalize_ = good;
  normalize_.mean = Meta({6, 1}, DType::kF32);
  ExpectParts(Normalize(), {"NormalizeQuantize mean", "[6, 1]", "[6] f32"});
  normalize_ = good;
  normalize_.y = Meta({6, 16}, kGroup16);
  ExpectParts(Normalize(), {"NormalizeQuantize y", "e4m3/g16", "fp8/t"});
  normalize_ = good;
  normalize_.x = Meta({6, 0}, DType::kF32);
  ExpectParts(Normalize(), {"NormalizeQuantize x", "[6, 0]", "empty"});
}

TEST_F(LayerNormErrorsTest, BackwardRefusesOtherFormatsAndShapes) {
  const LayerNormBackwardArgs good = backward_;
  backward_.y = Meta({6, 16}, kGroup16);
  ExpectParts(Backward(), {"LayerNormBackward y", "e4m3/g16", "f32 or bf16 or fp8/t"});
  backward_ = good;
  backward_.d_x = Meta({6, 10}, DType::kF32);
  ExpectParts(Backward(), {"LayerNormBackward d_x", "f32", "[6, 10] bf16"});
  backward_ = good;
  backward_.rstd = {};
  ExpectParts(Backward(), {"LayerNormBackward rstd", "missing"});
  backward_ = good;
  backward_.d_y = Meta({6, 0}, DType::kBF16);
  ExpectParts(Backward(), {"LayerNormBackward d_y", "[6, 0]", "empty"});
}

// SwiGLU ----------------------------------------------------------------------------------------------------------

class SwigluErrorsTest : public BlockOpErrorsTest {
 protected:
  SwigluQuantizeForwardArgs forward_ = {.up_gate = Meta({5, 64}, DType::kBF16),
                                        .saved_up_gate = Meta({5, 64}, kGroup16),
                                        .product = Meta({5, 32}, kTensor),
                                        .absmax = kOne};
  SwigluQuantizeBackwardArgs backward_ = {.up_gate = Meta({5, 64}, kGroup16),
                                          .d_product = Meta({5, 32}, DType::kBF16),
                                          .d_up_gate = Meta({5, 64}, kTensorE5M2),
                                          .d_up_gate_t = Meta({64, 5}, kTensorE5M2),
                                          .product_t = Meta({32, 5}, kTensor),
                                          .absmax = Meta({2}, DType::kF32)};
  std::string Forward() { return ErrorFrom(SwigluQuantizeForward, forward_); }
  std::string Backward() { return ErrorFrom(SwigluQuantizeBackward, backward_); }
};

TEST_F(SwigluErrorsTest, PlainOpsRefuseOddWidthsAndMixedTypes) {
  const TensorView half = Meta({5, 3}, DType::kF32);
  const TensorView full = Meta({5, 6}, DType::kF32);
  EXPECT_NO_THROW(SwigluForward(ctx_, {.up_gate = full, .product = half}));
  EXPECT_NO_THROW(SwigluBackward(ctx_, {.up_gate = full, .d_product = half, .d_up_gate = full, .product = half}));
  ExpectParts(ErrorFrom(SwigluForward, {.up_gate = Meta({5, 7}, DType::kF32), .product = half}),
              {"SwigluForward up_gate", "[5, 7]", "[N, 2F]"});
  ExpectParts(ErrorFrom(SwigluForward, {.up_gate = full, .product = Meta({5, 3}, DType::kBF16)}),
              {"SwigluForward product", "bf16", "[5, 3] f32"});
  ExpectParts(ErrorFrom(SwigluBackward, {.up_gate = full, .d_product = full, .d_up_gate = full, .product = half}),
              {"SwigluBackward d_product", "[5, 6]", "[5, 3]"});
  ExpectParts(ErrorFrom(SwigluBackward, {.up_gate = full, .d_product = half, .d_up_gate = half, .product = half}),
              {"SwigluBackward d_up_gate", "[5, 3]", "[5, 6]"});
  ExpectParts(ErrorFrom(SwigluBackward, {.up_gate = full, .d_product = half, .d_up_gate = full, .product = {}}),
              {"SwigluBackward product", "missing"});
}

TEST_F(SwigluErrorsTest, ForwardRefusesFormatsAndShapesOfOthers) {
  EXPECT_NO_THROW(SwigluQuantizeForward(ctx_, forward_));
  const SwigluQuantizeForwardArgs good = forward_;
  forward_.saved_up_gate = Meta({5, 64}, kTensor);
  ExpectParts(Forward(), {"SwigluQuantizeForward saved_up_gate", "e4m3/t", "fp8/gG"});
  forward_ = good;
  forward_.saved_up_gate = Meta({5, 64}, Format::PerGroup(DType::kE4M3, 16, DType::kF32));
  ExpectParts(Forward(), {"SwigluQuantizeForward saved_up_gate", "f32 scales", "bf16 scales"});
  forward_ = good;
  // 2F = 64 divides into groups of 64, but a group would hold both up and gate.
  forward_.saved_up_gate = Meta({5, 64}, Format::PerGroup(DType::kE4M3, 64));
  ExpectParts(Forward(), {"SwigluQuantizeForward saved_up_gate", "e4m3/g64", "divide 32"});
  forward_ = good;
  forward_.product = Meta({5, 32}, kGroup16);
  ExpectParts(Forward(), {"SwigluQuantizeForward product", "e4m3/g16", "fp8/t"});
  forward_ = good;
  forward_.absmax = {};
  ExpectParts(Forward(), {"SwigluQuantizeForward absmax", "missing"});
  forward_ = good;
  forward_.up_gate = OnCpu({5, 64}, DType::kBF16);
  ExpectParts(Forward(), {"SwigluQuantizeForward up_gate", "on cpu", "on meta"});
}

TEST_F(SwigluErrorsTest, BackwardRefusesFormatsAndShapesOfOthers) {
  EXPECT_NO_THROW(SwigluQuantizeBackward(ctx_, backward_));
  const SwigluQuantizeBackwardArgs good = backward_;
  backward_.up_gate = Meta({5, 64}, Format::PerGroup(DType::kE4M3, 64));
  ExpectParts(Backward(), {"SwigluQuantizeBackward up_gate", "e4m3/g64", "divide 32"});
  backward_ = good;
  backward_.d_product = Meta({5, 64}, DType::kBF16);
  ExpectParts(Backward(), {"SwigluQuantizeBackward d_product", "[5, 64]", "[5, 32]"});
  backward_ = good;
  backward_.d_up_gate_t = Meta({5, 64}, kTensorE5M2);
  ExpectParts(Backward(), {"SwigluQuantizeBackward d_up_gate_t", "[5, 64]", "[64, 5]"});
  backward_ = good;
  backward_.product_t = {};
  ExpectParts(Backward(), {"SwigluQuantizeBackward product_t", "missing"});
  backward_ = good;
  backward_.absmax = kOne;
  ExpectParts(Backward(), {"SwigluQuantizeBackward absmax", "[1] f32", "[2] f32"});
}

}  // namespace
}  // namespace coat
