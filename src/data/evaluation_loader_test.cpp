#include "data/evaluation_loader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

using Indices = std::vector<std::int64_t>;

/// 11 sequences of 2 tokens, both the index: 4 labeled "a", 5 "b", 2 "c".
class EvaluationLoaderTest : public ::testing::Test {
 protected:
  std::string File(const std::string& name, std::uint16_t first, std::uint16_t count) const {
    std::vector<std::uint16_t> ids;
    for (std::uint16_t i = first; i < first + count; ++i) {
      ids.insert(ids.end(), 2, i);
    }
    return folder_.Write(name, {reinterpret_cast<const char*>(ids.data()), ids.size() * 2});
  }

  const TempDir folder_;
  const MemMapDataset dataset_{
      {.datasets = {{"a", {File("a", 0, 4)}}, {"b", {File("b", 4, 5)}}, {"c", {File("c", 9, 2)}}},
       .sequence_length = 2,
       .vocab_size = 11}};
};

/// The indices of each batch of a pass; checks tokens and labels on the way.
std::vector<Indices> Pass(EvaluationLoader& loader) {
  std::vector<Indices> batches;
  for (std::int64_t index = 0; index < loader.batch_count(); ++index) {
    const Batch* const batch = &loader.Read(index);
    batches.push_back(batch->indices);
    EXPECT_EQ(batch->input_ids.size(), 2 * batch->indices.size());
    EXPECT_EQ(batch->labels.size(), batch->indices.size());
    for (std::size_t i = 0; i < batch->indices.size(); ++i) {
      const std::int64_t index = batch->indices[i];
      EXPECT_EQ(batch->input_ids[2 * i + 1], index);
      EXPECT_EQ(batch->labels[i], index < 4 ? 0 : index < 9 ? 1 : 2);
    }
  }
  return batches;
}

TEST_F(EvaluationLoaderTest, YieldsEverythingInOrderAndKeepsThePartialBatch) {
  EvaluationLoader loader(dataset_, {.batch_size = 4});
  const std::vector<Indices> expected = {{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10}};
  EXPECT_EQ(Pass(loader), expected);
  EXPECT_EQ(Pass(loader), expected);  // the next pass
}

TEST_F(EvaluationLoaderTest, TakesABatchLargerThanTheData) {
  EvaluationLoader loader(dataset_, {.batch_size = 100});
  ASSERT_EQ(loader.batch_count(), 1);
  EXPECT_EQ(Pass(loader)[0].size(), 11u);
}

TEST_F(EvaluationLoaderTest, DrawsTheSameSubsetEachTime) {
  // NumPy's order of 11 at seed 6198 begins 4 3 2 6.
  EvaluationLoader loader(dataset_, {.batch_size = 2, .subset_num_batches = 2, .seed = 6198});
  const std::vector<Indices> expected = {{2, 3}, {4, 6}};
  EXPECT_EQ(Pass(loader), expected);
  EXPECT_EQ(Pass(loader), expected);
  EvaluationLoader other(dataset_, {.batch_size = 2, .subset_num_batches = 2, .seed = 1});
  EXPECT_NE(Pass(other), expected);
}

TEST_F(EvaluationLoaderTest, TakesASubsetAsLargeAsTheDataForAllOfIt) {
  for (const std::int64_t batches : {3, 4, 1000}) {
    EvaluationLoader loader(dataset_, {.batch_size = 4, .subset_num_batches = batches});
    EXPECT_EQ(loader.batch_count(), 3);
    EXPECT_EQ(Pass(loader).back(), (Indices{8, 9, 10}));
  }
}

TEST_F(EvaluationLoaderTest, ReadsBatchesInAnyOrder) {
  EvaluationLoader loader(dataset_, {.batch_size = 3});
  ASSERT_EQ(loader.batch_count(), 4);
  EXPECT_EQ(loader.sequence_count(), 11);
  EXPECT_EQ(loader.Read(3).indices, (Indices{9, 10}));
  EXPECT_EQ(loader.Read(1).indices, (Indices{3, 4, 5}));
  EXPECT_EQ(loader.Read(3).indices, (Indices{9, 10}));
  EXPECT_THROW(loader.Read(4), ArgumentError);
}

TEST_F(EvaluationLoaderTest, ChecksWhatABatchReadsAndNothingElse) {
  File("a", 0, 12);  // the last two are beyond the vocabulary
  std::string mask(24, '\1');
  mask[5] = '\2';  // of sequence 2
  const MemMapDataset dataset({.paths = {folder_.File("a")},
                               .label_mask_paths = {folder_.Write("mask", mask)},
                               .sequence_length = 2,
                               .vocab_size = 10});
  const auto checked = [](EvaluationLoader& loader, std::int64_t batch) {
    const std::string found = ErrorOf<IoError>([&] { loader.Check(batch); });
    EXPECT_EQ(found, ErrorOf<IoError>([&] { loader.Read(batch); }));
    return found;
  };
  EvaluationLoader loader(dataset, {.batch_size = 2});
  for (const std::int64_t batch : {0, 2, 3, 4}) EXPECT_NO_THROW(loader.Check(batch));
  ExpectParts(checked(loader, 1), {folder_.File("mask") + ": byte 5 is 2"});
  ExpectParts(checked(loader, 5), {folder_.File("a") + ": token 20 (byte 40) is 10; the vocabulary has 10 ids"});
  EXPECT_EQ(loader.Read(4).indices, (Indices{8, 9}));
  EXPECT_EQ(loader.Read(4).input_ids.size(), 4u);
  // NumPy's order of 12 at seed 6198 begins 9 4 3 2.
  EvaluationLoader subset(dataset, {.batch_size = 3, .subset_num_batches = 1, .seed = 6198});
  EXPECT_NO_THROW(subset.Check(0));
  EXPECT_THROW(loader.Check(6), ArgumentError);
}

TEST_F(EvaluationLoaderTest, RefusesSizesThatMakeNoSense) {
  EXPECT_THROW(EvaluationLoader(dataset_, {.batch_size = 0}), ArgumentError);
  EXPECT_THROW(EvaluationLoader(dataset_, {.batch_size = 1, .subset_num_batches = 0}), ArgumentError);
  EXPECT_THROW(EvaluationLoader(dataset_, {.batch_size = 1, .subset_num_batches = -2}), ArgumentError);
}

}  // namespace
}  // namespace coat
