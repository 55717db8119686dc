#include "data/labels.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace coat {
namespace {

using Labels = std::vector<std::int32_t>;

constexpr std::int32_t kFilling = 7777;

Batch BatchOf(std::int64_t sequences, std::int64_t length) {
  Batch batch;
  batch.sequence_length = length;
  for (std::int64_t b = 0; b < sequences; ++b) {
    batch.indices.push_back(b);
    for (std::int64_t t = 0; t < length; ++t) batch.input_ids.push_back(static_cast<std::int32_t>(100 * b + t));
  }
  return batch;
}

TEST(MakeLabels, AreTheNextTokensAndNoneAtTheEndOfASequence) {
  const Batch batch = BatchOf(2, 4);
  Labels labels(8, kFilling);
  EXPECT_EQ(MakeLabels(batch, 0, 2, labels), 6);
  EXPECT_EQ(labels, (Labels{1, 2, 3, -100, 101, 102, 103, -100}));
}

TEST(MakeLabels, FollowTheMaskOfTheTokenToBePredicted) {
  Batch batch = BatchOf(2, 4);
  batch.label_mask = {0, 1, 0, 1,   // the first token is nobody's label, so its mask does not matter
                      1, 0, 0, 0};  // nothing to predict in the second sequence
  Labels labels(8, kFilling);
  EXPECT_EQ(MakeLabels(batch, 0, 2, labels), 2);
  EXPECT_EQ(labels, (Labels{1, -100, 3, -100, -100, -100, -100, -100}));
}

TEST(MakeLabels, AreNoneInASequenceThatTheInstanceMaskLeavesOut) {
  Batch batch = BatchOf(3, 3);
  batch.instance_mask = {1, 0, 1};
  Labels labels(9, kFilling);
  EXPECT_EQ(MakeLabels(batch, 0, 3, labels), 4);
  EXPECT_EQ(labels, (Labels{1, 2, -100, -100, -100, -100, 201, 202, -100}));
  // The mask belongs to the batch's sequences, whichever of them labels are made for.
  Labels last_two(6, kFilling);
  EXPECT_EQ(MakeLabels(batch, 1, 2, last_two), 2);
  EXPECT_EQ(last_two, (Labels{-100, -100, -100, 201, 202, -100}));
}

TEST(MakeLabels, OfMicroBatchesAreThePartsOfThoseOfTheBatch) {
  Batch batch = BatchOf(5, 3);
  for (std::size_t i = 0; i < batch.input_ids.size(); ++i) batch.label_mask.push_back(i % 4 != 2);
  Labels whole(15, kFilling);
  const std::int64_t predicted = MakeLabels(batch, 0, 5, whole);
  Labels joined;
  std::int64_t predicted_by_parts = 0;
  for (const auto& [first, count] : {std::pair{0, 2}, {2, 2}, {4, 1}}) {
    Labels part(static_cast<std::size_t>(3 * count), kFilling);
    predicted_by_parts += MakeLabels(batch, first, count, part);
    joined.insert(joined.end(), part.begin(), part.end());
  }
  EXPECT_EQ(joined, whole);
  EXPECT_EQ(predicted_by_parts, predicted);
}

TEST(MakeLabels, OfSequencesOfOneTokenAreNone) {
  Labels labels(3, kFilling);
  EXPECT_EQ(MakeLabels(BatchOf(3, 1), 0, 3, labels), 0);
  EXPECT_EQ(labels, (Labels{-100, -100, -100}));
}

TEST(MakeLabels, OfNoSequencesAreNone) {
  Labels none;
  EXPECT_EQ(MakeLabels(BatchOf(2, 4), 2, 0, none), 0);
}

TEST(MakeLabels, RefusesSequencesOutsideTheBatchAndFieldsThatDoNotFit) {
  Batch batch = BatchOf(2, 4);
  Labels labels(8);
  EXPECT_THROW(MakeLabels(batch, 1, 2, labels), ArgumentError);
  EXPECT_THROW(MakeLabels(batch, -1, 2, labels), ArgumentError);
  EXPECT_THROW(MakeLabels(batch, 0, 1, labels), ArgumentError);
  batch.label_mask.assign(7, 1);
  EXPECT_THROW(MakeLabels(batch, 0, 2, labels), ArgumentError);
  batch.label_mask.clear();
  batch.instance_mask.assign(3, 1);
  EXPECT_THROW(MakeLabels(batch, 0, 2, labels), ArgumentError);
  batch.instance_mask.clear();
  batch.input_ids.pop_back();
  EXPECT_THROW(MakeLabels(batch, 0, 2, labels), ArgumentError);
}

}  // namespace
}  // namespace coat
