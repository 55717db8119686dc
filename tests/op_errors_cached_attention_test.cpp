// What the front doors of attention to a cache refuse, and how they say so.

#include <gtest/gtest.h>

#include <string>

#include "ops/cached_attention.h"
#include "tests/support/error_of.h"
#include "tests/support/meta_views.h"

namespace coat {
namespace {

/// 3 tokens, 4 heads of 5 columns that share 2 of keys and values, a cache of 7 rows.
class CachedAttentionErrorsTest : public testing::Test {
 protected:
  CachedAttentionArgs args_ = {.qkv = Meta({3, 40}, DType::kBF16),
                               .positions = Meta({3}, DType::kI32),
                               .cache = Meta({7, 20}, DType::kBF16),
                               .out = Meta({3, 20}, DType::kBF16),
                               .heads = 4,
                               .kv_heads = 2};
  Context ctx_{DeviceKind::kMeta};

  std::string Error() {
    return ErrorOf<ArgumentError>([&] { CachedAttention(ctx_, args_); });
  }
  std::string StoreError(TensorView cache) {
    return ErrorOf<ArgumentError>([&] {
      StoreKeysValues(ctx_, {.qkv = args_.qkv,
                             .positions = args_.positions,
                             .cache = cache,
                             .heads = args_.heads,
                             .kv_heads = args_.kv_heads});
    });
  }
};

TEST_F(CachedAttentionErrorsTest, AcceptsWhatTheContractNames) {
  EXPECT_NO_THROW(CachedAttention(ctx_, args_));
  EXPECT_NO_THROW(StoreKeysValues(ctx_, {.qkv = args_.qkv,
                                         .positions = args_.positions,
                                         .cache = Meta({7, 20}, DType::kBF16),
                                         .heads = 4,
                                         .kv_heads = 2}));
}

TEST_F(CachedAttentionErrorsTest, RefusesHeadsThatDoNotShareEvenly) {
  args_.kv_heads = 3;
  ExpectParts(Error(), {"CachedAttention", "4 heads", "3 kv_heads", "multiple"});
}

TEST_F(CachedAttentionErrorsTest, RefusesWidthsThatAreNoWholeHeads) {
  args_.qkv = Meta({3, 41}, DType::kBF16);
  ExpectParts(Error(), {"CachedAttention qkv is [3, 41] bf16", "a width of 8 heads"});
}

TEST_F(CachedAttentionErrorsTest, RefusesACacheOfOtherShapeOrType) {
  ExpectParts(StoreError(Meta({7, 21}, DType::kBF16)), {"StoreKeysValues cache is [7, 21] bf16", "[7, 20] bf16"});
  ExpectParts(StoreError(Meta({7, 20}, DType::kF32)), {"StoreKeysValues cache is [7, 20] f32", "[7, 20] bf16"});
  args_.cache = Meta({20}, DType::kBF16);
  ExpectParts(Error(), {"CachedAttention cache"});
}

TEST_F(CachedAttentionErrorsTest, RefusesPositionsAndResultsOfOtherShapes) {
  args_.positions = Meta({2}, DType::kI32);
  ExpectParts(Error(), {"CachedAttention positions is [2] i32", "[3] i32"});
  args_.positions = Meta({3}, DType::kI32);
  args_.out = Meta({3, 40}, DType::kBF16);
  ExpectParts(Error(), {"CachedAttention out is [3, 40] bf16", "[3, 20] bf16"});
}

}  // namespace
}  // namespace coat
