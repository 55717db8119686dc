// What the front doors of RMSNorm and of QK-norm with RoPE refuse, and how they say so.

#include <gtest/gtest.h>

#include <string>

#include "ops/qk_norm_rope.h"
#include "ops/rms_norm.h"
#include "tests/support/error_of.h"
#include "tests/support/meta_views.h"

namespace coat {
namespace {

constexpr DType kF32 = DType::kF32;
constexpr DType kBF16 = DType::kBF16;
constexpr Format kGroup16 = Format::PerGroup(DType::kE4M3, 16);
constexpr Format kGroup16InFloat = Format::PerGroup(DType::kE4M3, 16, DType::kF32);
constexpr Format kTensor = Format::PerTensor(DType::kE4M3);

class RmsNormErrorsTest : public testing::Test {
 protected:
  Context ctx_{DeviceKind::kMeta};
  RmsNormArgs norm_ = {
      .x = Meta({6, 32}, kBF16), .weight = Meta({32}, kF32), .y = Meta({6, 32}, kBF16), .rstd = Meta({6}, kF32)};
  AddRmsNormArgs add_ = {.x = Meta({6, 32}, kBF16),
                         .branch = Meta({6, 32}, kBF16),
                         .weight = Meta({32}, kF32),
                         .y = Meta({6, 32}, kBF16),
                         .rstd = Meta({6}, kF32),
                         .kept = Meta({6, 32}, kGroup16),
                         .absmax = Meta({1}, kF32)};
  RmsNormBackwardArgs backward_ = {.x = Meta({6, 32}, kGroup16),
                                   .weight = Meta({32}, kF32),
                                   .rstd = Meta({6}, kF32),
                                   .d_y = Meta({6, 32}, kBF16),
                                   .d_x = Meta({6, 32}, kBF16),
                                   .d_weight = Meta({32}, kBF16),
                                   .absmax = Meta({1}, kF32)};
  std::string Norm() {
    return ErrorOf<ArgumentError>([&] { RmsNorm(ctx_, norm_); });
  }
  std::string Add() {
    return ErrorOf<ArgumentError>([&] { AddRmsNorm(ctx_, add_); });
  }
  std::string Backward() {
    return ErrorOf<ArgumentError>([&] { RmsNormBackward(ctx_, backward_); });
  }
};

TEST_F(RmsNormErrorsTest, AcceptsWhatTheContractNames) {
  EXPECT_NO_THROW(RmsNorm(ctx_, norm_));
  EXPECT_NO_THROW(AddRmsNorm(ctx_, add_));
  add_.kept = {};
  add_.absmax = {};
  EXPECT_NO_THROW(AddRmsNorm(ctx_, add_));
  EXPECT_NO_THROW(RmsNormBackward(ctx_, backward_));
  backward_.x = AsPlain(Meta({6, 32}, kBF16));
  backward_.d_weight = Meta({32}, kF32);
  backward_.absmax = {};
  EXPECT_NO_THROW(RmsNormBackward(ctx_, backward_));
}

TEST_F(RmsNormErrorsTest, NormRefusesEmptyRowsAndOperandsThatDiffer) {
  const RmsNormArgs good = norm_;
  norm_.x = Meta({6, 0}, kBF16);
  ExpectParts(Norm(), {"RmsNorm x", "[6, 0]", "empty"});
  norm_ = good;
  norm_.x = Meta({6, 32}, DType::kE4M3);
  ExpectParts(Norm(), {"RmsNorm x", "e4m3", "f32 or bf16"});
  norm_ = good;
  norm_.x = {};
  ExpectParts(Norm(), {"RmsNorm x", "missing"});
  norm_ = good;
  norm_.weight = Meta({32}, kBF16);
  ExpectParts(Norm(), {"RmsNorm weight", "bf16", "[32] f32"});
  norm_ = good;
  norm_.y = Meta({6, 32}, kF32);
  ExpectParts(Norm(), {"RmsNorm y", "f32", "[6, 32] bf16"});
  norm_ = good;
  norm_.rstd = Meta({32}, kF32);
  ExpectParts(Norm(), {"RmsNorm rstd", "[32] f32", "[6] f32"});
  norm_ = good;
  norm_.y = OnCpu({6, 32}, kBF16);
  ExpectParts(Norm(), {"RmsNorm y", "on cpu", "on meta"});
}

TEST_F(RmsNormErrorsTest, AddRefusesOperandsThatDifferAndOtherFormats) {
  const AddRmsNormArgs good = add_;
  add_.branch = {};
  ExpectParts(Add(), {"AddRmsNorm branch", "missing"});
  add_ = good;
  add_.branch = Meta({6, 32}, kF32);
  ExpectParts(Add(), {"AddRmsNorm branch", "f32", "[6, 32] bf16"});
  add_ = good;
  add_.y = Meta({6, 16}, kBF16);
  ExpectParts(Add(), {"AddRmsNorm y", "[6, 16]", "[6, 32] bf16"});
  add_ = good;
  add_.weight = Meta({6}, kF32);
  ExpectParts(Add(), {"AddRmsNorm weight", "[6] f32", "[32] f32"});
  add_ = good;
  add_.kept = AsPlain(Meta({6, 32}, kBF16));
  ExpectParts(Add(), {"AddRmsNorm kept", "bf16", "fp8/gG"});
  add_ = good;
  add_.kept = Meta({6, 32}, kTensor);
  ExpectParts(Add(), {"AddRmsNorm kept", "e4m3/t", "fp8/gG"});
  add_ = good;
  add_.kept = Meta({6, 32}, kGroup16InFloat);
  ExpectParts(Add(), {"AddRmsNorm kept", "f32 scales", "bf16 scales"});
  add_ = good;
  add_.absmax = Meta({2}, kF32);
  ExpectParts(Add(), {"AddRmsNorm absmax", "[2] f32", "[1] f32"});
}

TEST_F(RmsNormErrorsTest, BackwardRefusesOtherFormatsAndShapes) {
  const RmsNormBackwardArgs good = backward_;
  backward_.x = Meta({6, 32}, kTensor);
  ExpectParts(Backward(), {"RmsNormBackward x", "e4m3/t", "f32 or bf16 or fp8/gG"});
  backward_ = good;
  backward_.x = Meta({6, 32}, kGroup16InFloat);
  ExpectParts(Backward(), {"RmsNormBackward x", "f32 scales", "bf16 scales"});
  backward_ = good;
  backward_.x = AsPlain(Meta({6, 32}, kF32));
  ExpectParts(Backward(), {"RmsNormBackward x", "f32", "[6, 32] bf16"});
  backward_ = good;
  backward_.d_y = Meta({6, 0}, kBF16);
  ExpectParts(Backward(), {"RmsNormBackward d_y", "[6, 0]", "empty"});
  backward_ = good;
  backward_.d_x = Meta({6, 32}, kF32);
  ExpectParts(Backward(), {"RmsNormBackward d_x", "f32", "[6, 32] bf16"});
  backward_ = good;
  backward_.d_weight = Meta({6}, kF32);
  ExpectParts(Backward(), {"RmsNormBackward d_weight", "[6] f32", "[32] f32 or bf16"});
  backward_ = good;
  backward_.d_weight = {};
  ExpectParts(Backward(), {"RmsNormBackward d_weight", "missing"});
  backward_ = good;
  backward_.rstd = {};
  ExpectParts(Backward(), {"RmsNormBackward rstd", "missing"});
  backward_ = good;
  backward_.absmax = OnCpu({1}, kF32);
  ExpectParts(Backward(), {"RmsNormBackward absmax", "on cpu", "on meta"});
}

// Four tokens at two positions; three heads of queries, one of keys and values, of six columns.
class QkNormRopeErrorsTest : public testing::Test {
 protected:
  Context ctx_{DeviceKind::kMeta};
  QkNormRopeForwardArgs forward_ = {.qkv = Meta({4, 30}, kBF16),
                                    .q_weight = Meta({18}, kF32),
                                    .k_weight = Meta({6}, kF32),
                                    .table = Meta({2, 6}, kF32),
                                    .rotated = Meta({4, 30}, kBF16),
                                    .q_rstd = Meta({4}, kF32),
                                    .k_rstd = Meta({4}, kF32),
                                    .heads = 3,
                                    .kv_heads = 1};
  QkNormRopeBackwardArgs backward_ = {.qkv = Meta({4, 30}, kBF16),
                                      .q_weight = Meta({18}, kF32),
                                      .k_weight = Meta({6}, kF32),
                                      .q_rstd = Meta({4}, kF32),
                                      .k_rstd = Meta({4}, kF32),
                                      .table = Meta({2, 6}, kF32),
                                      .d_qkv = Meta({4, 30}, kBF16),
                                      .d_q_weight = Meta({18}, kBF16),
                                      .d_k_weight = Meta({6}, kBF16),
                                      .absmax = Meta({1}, kF32),
                                      .heads = 3,
                                      .kv_heads = 1};
  std::string Forward() {
    return ErrorOf<ArgumentError>([&] { QkNormRopeForward(ctx_, forward_); });
  }
  std::string Backward() {
    return ErrorOf<ArgumentError>([&] { QkNormRopeBackward(ctx_, backward_); });
  }
};

TEST_F(QkNormRopeErrorsTest, AcceptsWhatTheContractNames) {
  EXPECT_NO_THROW(QkNormRopeForward(ctx_, forward_));
  EXPECT_NO_THROW(QkNormRopeBackward(ctx_, backward_));
  backward_.absmax = {};
  backward_.d_q_weight = Meta({18}, kF32);
  backward_.d_k_weight = Meta({6}, kF32);
  EXPECT_NO_THROW(QkNormRopeBackward(ctx_, backward_));
}

TEST_F(QkNormRopeErrorsTest, ForwardRefusesSizesThatDoNotFit) {
  const QkNormRopeForwardArgs good = forward_;
  forward_.heads = 0;
  ExpectParts(Forward(), {"QkNormRopeForward", "0 heads and 1 kv_heads"});
  forward_ = good;
  forward_.kv_heads = 2;
  ExpectParts(Forward(), {"QkNormRopeForward qkv", "[4, 30]", "[4, 42]"});
  forward_ = good;
  forward_.table = Meta({2, 5}, kF32);
  ExpectParts(Forward(), {"QkNormRopeForward table", "[2, 5]", "even K"});
  forward_ = good;
  forward_.table = Meta({3, 6}, kF32);
  ExpectParts(Forward(), {"QkNormRopeForward qkv", "multiple of the table's 3 rows"});
  forward_ = good;
  forward_.qkv = Meta({4, 30}, DType::kE4M3);
  ExpectParts(Forward(), {"QkNormRopeForward qkv", "e4m3", "f32 or bf16"});
  forward_ = good;
  forward_.q_weight = Meta({6}, kF32);
  ExpectParts(Forward(), {"QkNormRopeForward q_weight", "[6] f32", "[18] f32"});
  forward_ = good;
  forward_.k_weight = Meta({18}, kF32);
  ExpectParts(Forward(), {"QkNormRopeForward k_weight", "[18] f32", "[6] f32"});
  forward_ = good;
  forward_.rotated = Meta({4, 30}, kF32);
  ExpectParts(Forward(), {"QkNormRopeForward rotated", "f32", "[4, 30] bf16"});
  forward_ = good;
  forward_.q_rstd = {};
  ExpectParts(Forward(), {"QkNormRopeForward q_rstd", "missing"});
  forward_ = good;
  forward_.k_rstd = Meta({2}, kF32);
  ExpectParts(Forward(), {"QkNormRopeForward k_rstd", "[2] f32", "[4] f32"});
}

TEST_F(QkNormRopeErrorsTest, BackwardRefusesGradientsThatDiffer) {
  const QkNormRopeBackwardArgs good = backward_;
  backward_.d_qkv = Meta({4, 30}, kF32);
  ExpectParts(Backward(), {"QkNormRopeBackward d_qkv", "f32", "[4, 30] bf16"});
  backward_ = good;
  backward_.qkv = {};
  ExpectParts(Backward(), {"QkNormRopeBackward qkv", "missing"});
  backward_ = good;
  backward_.d_q_weight = Meta({6}, kBF16);
  ExpectParts(Backward(), {"QkNormRopeBackward d_q_weight", "[6] bf16", "[18] f32 or bf16"});
  backward_ = good;
  backward_.d_k_weight = Meta({6}, kF32);
  ExpectParts(Backward(), {"QkNormRopeBackward d_k_weight", "f32", "[6] bf16"});
  backward_ = good;
  backward_.absmax = Meta({2}, kF32);
  ExpectParts(Backward(), {"QkNormRopeBackward absmax", "[2] f32", "[1] f32"});
  backward_ = good;
  backward_.kv_heads = 0;
  ExpectParts(Backward(), {"QkNormRopeBackward", "3 heads and 0 kv_heads"});
}

}  // namespace
}  // namespace coat
