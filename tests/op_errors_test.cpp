// Front doors refuse what their contracts do not cover, and say what was found and what is accepted.

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "ops/attention.h"
#include "ops/cross_entropy.h"
#include "ops/embedding.h"
#include "ops/rope.h"
#include "tests/support/error_of.h"
#include "tests/support/meta_views.h"

namespace coat {
namespace {

class OpErrorsTest : public testing::Test {
 protected:
  Context ctx_{DeviceKind::kMeta};
};

/// N = 6 tokens of T = 3 positions, H = 2, Hk = 1, K = 4.
class RopeErrorsTest : public OpErrorsTest {
 protected:
  RopeForwardArgs forward_ = {.qkv = Meta({6, 16}, DType::kBF16),
                              .table = Meta({3, 4}, DType::kF32),
                              .clip_mask = Meta({6, 2}, DType::kU8),
                              .heads = 2,
                              .kv_heads = 1,
                              .clip = 8.0f};
  std::string Forward() {
    return ErrorOf<ArgumentError>([&] { RopeForward(ctx_, forward_); });
  }
};

TEST_F(RopeErrorsTest, AcceptsWhatTheContractNames) {
  EXPECT_NO_THROW(RopeForward(ctx_, forward_));
  EXPECT_NO_THROW(RopeBackward(ctx_, {.d_qkv = forward_.qkv,
                                      .table = forward_.table,
                                      .clip_mask = forward_.clip_mask,
                                      .absmax = Meta({1}, DType::kF32),
                                      .heads = 2,
                                      .kv_heads = 1}));
}

TEST_F(RopeErrorsTest, RefusesATableOfOddWidth) {
  forward_.table = Meta({3, 5}, DType::kF32);
  ExpectParts(Forward(), {"RopeForward table", "[3, 5]", "even"});
}

TEST_F(RopeErrorsTest, RefusesATableWithoutRows) {
  forward_.table = Meta({0, 4}, DType::kF32);
  ExpectParts(Forward(), {"RopeForward table", "[0, 4]", "T > 0"});
}

TEST_F(RopeErrorsTest, RefusesRowsThatAreNotWholeSequences) {
  forward_.qkv = Meta({7, 16}, DType::kBF16);
  forward_.clip_mask = {};
  ExpectParts(Forward(), {"RopeForward qkv", "[7, 16]", "multiple", "3 rows"});
}

TEST_F(RopeErrorsTest, RefusesAWidthThatIsNotThatOfTheHeads) {
  forward_.heads = 3;
  ExpectParts(Forward(), {"RopeForward qkv", "[6, 16]", "[6, 20]"});
}

TEST_F(RopeErrorsTest, RefusesNoHeads) {
  forward_.kv_heads = 0;
  ExpectParts(Forward(), {"RopeForward", "0 kv_heads"});
}

TEST_F(RopeErrorsTest, RefusesAClipThatIsNoBound) {
  for (const float clip : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    forward_.clip = clip;
    ExpectParts(Forward(), {"RopeForward clip", "finite"});
  }
}

TEST_F(RopeErrorsTest, RefusesAMaskWithoutAClip) {
  forward_.clip = 0.0f;
  ExpectParts(Forward(), {"RopeForward clip_mask", "clip is 0"});
}

TEST_F(RopeErrorsTest, RefusesAMaskForRowsThatAreNotWholeBytes) {
  forward_.qkv = Meta({6, 12}, DType::kBF16);
  forward_.heads = 1;
  ExpectParts(Forward(), {"RopeForward clip_mask", "12", "multiple of 8"});
}

TEST_F(RopeErrorsTest, RefusesTensorsElsewhereAndOfOtherTypes) {
  const RopeForwardArgs good = forward_;
  float here[24] = {};
  forward_.table = {here, {3, 4}, DType::kF32, DeviceKind::kCpu};
  ExpectParts(Forward(), {"RopeForward table", "on cpu", "meta"});
  forward_ = good;
  forward_.clip_mask = Meta({6, 2}, DType::kI32);
  ExpectParts(Forward(), {"RopeForward clip_mask", "i32", "u8"});
  forward_ = good;
  forward_.qkv = Meta({6, 16}, DType::kE4M3);
  ExpectParts(Forward(), {"RopeForward qkv", "e4m3", "f32 or bf16"});
  forward_ = good;
  forward_.qkv = {};
  ExpectParts(Forward(), {"RopeForward qkv", "missing"});
}

TEST_F(RopeErrorsTest, RefusesTablesThatCannotBeFilled) {
  float values[8] = {};
  const TensorView table = {values, {2, 4}, DType::kF32, DeviceKind::kCpu};
  const auto fill = [](TensorView x, double theta) {
    return ErrorOf<ArgumentError>([&] { FillRotaryTable(x, theta); });
  };
  EXPECT_NO_THROW(FillRotaryTable(table, 10000.0));
  ExpectParts(fill(table, 0.0), {"theta is 0", "above 0"});
  ExpectParts(fill(table, std::numeric_limits<double>::infinity()), {"theta is inf", "above 0"});
  ExpectParts(fill(Meta({2, 4}, DType::kF32), 10000.0), {"table", "on meta", "on cpu"});
  ExpectParts(fill({values, {1, 3}, DType::kF32, DeviceKind::kCpu}, 10000.0), {"table", "[1, 3]", "even"});
}

/// B = 2, T = 3, H = 4, Hk = 2, K = 5.
class AttentionErrorsTest : public OpErrorsTest {
 protected:
  AttentionBackwardArgs backward_ = {.qkv = Meta({6, 40}, DType::kBF16),
                                     .out = Meta({6, 20}, DType::kBF16),
                                     .lse = Meta({2, 4, 3}, DType::kF32),
                                     .d_out = Meta({6, 20}, DType::kBF16),
                                     .d_qkv = Meta({6, 40}, DType::kBF16),
                                     .heads = 4,
                                     .kv_heads = 2};
  std::string Backward() {
    return ErrorOf<ArgumentError>([&] { AttentionBackward(ctx_, backward_); });
  }
  std::string Forward(const AttentionForwardArgs& args) {
    return ErrorOf<ArgumentError>([&] { AttentionForward(ctx_, args); });
  }
};

TEST_F(AttentionErrorsTest, AcceptsWhatTheContractNames) {
  EXPECT_NO_THROW(AttentionBackward(ctx_, backward_));
  EXPECT_NO_THROW(AttentionForward(ctx_, {.qkv = backward_.qkv,
                                          .out = Meta({6, 20}, DType::kBF16),
                                          .lse = Meta({2, 4, 3}, DType::kF32),
                                          .heads = 4,
                                          .kv_heads = 2}));
}

TEST_F(AttentionErrorsTest, RefusesHeadsThatDoNotShareEvenly) {
  backward_.kv_heads = 3;
  ExpectParts(Backward(), {"AttentionBackward", "4 heads", "3 kv_heads", "multiple"});
}

TEST_F(AttentionErrorsTest, RefusesAnLseOfOtherHeads) {
  backward_.lse = Meta({2, 3, 4}, DType::kF32);
  ExpectParts(Backward(), {"AttentionBackward lse", "[2, 3, 4]", "[2, 4, 4]"});
}

TEST_F(AttentionErrorsTest, RefusesTokensThatAreNotThoseOfLse) {
  backward_.lse = Meta({2, 4, 4}, DType::kF32);
  ExpectParts(Backward(), {"AttentionBackward out", "[6, 20]", "[8, 20]"});
}

TEST_F(AttentionErrorsTest, RefusesAQkvOfAnotherWidth) {
  backward_.qkv = Meta({6, 60}, DType::kBF16);
  ExpectParts(Backward(), {"AttentionBackward qkv", "[6, 60]", "[6, 40] bf16"});
}

TEST_F(AttentionErrorsTest, RefusesDocumentsOfOtherTokensOrAnotherType) {
  backward_.documents = Meta({6}, DType::kI32);
  EXPECT_NO_THROW(AttentionBackward(ctx_, backward_));
  backward_.documents = Meta({2, 3}, DType::kI32);
  ExpectParts(Backward(), {"AttentionBackward documents", "[2, 3]", "[6] i32"});
  backward_.documents = Meta({6}, DType::kF32);
  ExpectParts(Backward(), {"AttentionBackward documents", "f32", "[6] i32"});
}

TEST_F(AttentionErrorsTest, RefusesMixedTypes) {
  backward_.d_out = Meta({6, 20}, DType::kF32);
  ExpectParts(Backward(), {"AttentionBackward d_out", "f32", "bf16"});
}

TEST_F(AttentionErrorsTest, RefusesHeadsTooWideForATile) {
  const std::int64_t size = kMaxHeadSize + 1;
  ExpectParts(Forward({.qkv = Meta({6, 3 * size}, DType::kF32),
                       .out = Meta({6, size}, DType::kF32),
                       .lse = Meta({2, 1, 3}, DType::kF32),
                       .heads = 1,
                       .kv_heads = 1}),
              {"AttentionForward out", "4097", "1 to 4096 columns"});
}

TEST_F(OpErrorsTest, EmbeddingRefusesShapesThatDiffer) {
  const ConstTensorView ids = Meta({5}, DType::kI32);
  const ConstTensorView weight = Meta({7, 3}, DType::kF32);
  EXPECT_NO_THROW(EmbeddingForward(ctx_, {.weight = weight, .ids = ids, .x = Meta({5, 3}, DType::kBF16)}));
  const auto forward = [&](const EmbeddingForwardArgs& args) {
    return ErrorOf<ArgumentError>([&] { EmbeddingForward(ctx_, args); });
  };
  ExpectParts(forward({.weight = weight, .ids = ids, .x = Meta({4, 3}, DType::kBF16)}),
              {"EmbeddingForward x", "[4, 3]", "[5, 3]"});
  ExpectParts(forward({.weight = Meta({7, 3}, DType::kI32), .ids = ids, .x = Meta({5, 3}, DType::kBF16)}),
              {"EmbeddingForward weight", "i32", "f32 or bf16"});
  ExpectParts(forward({.weight = weight, .ids = Meta({5}, DType::kI64), .x = Meta({5, 3}, DType::kBF16)}),
              {"EmbeddingForward ids", "i64", "i32"});
  ExpectParts(ErrorOf<ArgumentError>([&] {
                EmbeddingBackward(ctx_, {.ids = ids,
                                         .d_x = Meta({5, 3}, DType::kBF16),
                                         .d_weight = Meta({7, 3}, DType::kF32),
                                         .order = Meta({4}, DType::kI32)});
              }),
              {"EmbeddingBackward order", "[4]", "[5]"});
}

TEST_F(OpErrorsTest, CrossEntropyRefusesShapesThatDifferAndFactorsThatAreNotFinite) {
  const CrossEntropyArgs good = {.logits = Meta({5, 7}, DType::kBF16),
                                 .labels = Meta({5}, DType::kI32),
                                 .loss = Meta({5}, DType::kF32),
                                 .z_squared = Meta({5}, DType::kF32),
                                 .weights = Meta({2}, DType::kF32)};
  EXPECT_NO_THROW(CrossEntropy(ctx_, good));
  const auto message = [&](const CrossEntropyArgs& args) {
    return ErrorOf<ArgumentError>([&] { CrossEntropy(ctx_, args); });
  };
  CrossEntropyArgs args = good;
  args.logits = Meta({5, 0}, DType::kBF16);
  ExpectParts(message(args), {"CrossEntropy logits", "[5, 0]", "E > 0"});
  args = good;
  args.labels = Meta({6}, DType::kI32);
  ExpectParts(message(args), {"CrossEntropy labels", "[6]", "[5]"});
  args = good;
  args.z_squared = {};
  ExpectParts(message(args), {"CrossEntropy z_squared", "missing"});
  args = good;
  args.weights = {};
  ExpectParts(message(args), {"CrossEntropy weights", "missing"});
  args.gradient = false;
  EXPECT_NO_THROW(CrossEntropy(ctx_, args));
  args.logit_scale = std::numeric_limits<float>::quiet_NaN();
  ExpectParts(message(args), {"logit_scale nan", "finite"});
}

}  // namespace
}  // namespace coat
