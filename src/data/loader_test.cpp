#include "data/loader.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

using Indices = std::vector<std::int64_t>;

constexpr std::size_t kLength = 5;

/// 11 sequences of 5 tokens in two files, with remainders; the tokens of sequence i are 10 i, 10 i + 1, ...
class DataLoaderTest : public ::testing::Test {
 protected:
  DataLoaderTest() { dataset_ = std::make_unique<MemMapDataset>(options_); }

  std::string File(const std::string& name, std::uint16_t first, std::uint16_t count, std::size_t remainder) const {
    std::vector<std::uint16_t> ids;
    for (std::uint16_t i = first; i < first + count; ++i) {
      for (std::uint16_t t = 0; t < kLength; ++t) {
        ids.push_back(static_cast<std::uint16_t>(10 * i + t));
      }
    }
    ids.insert(ids.end(), remainder, 9);
    return folder_.Write(name, {reinterpret_cast<const char*>(ids.data()), ids.size() * 2});
  }

  const TempDir folder_;
  DatasetOptions options_ = {
      .paths = {File("a", 0, 4, 3), File("b", 4, 7, 4)}, .sequence_length = kLength, .vocab_size = 257};
  std::unique_ptr<MemMapDataset> dataset_;
};

LoaderOptions Options(std::int64_t global_batch_size) {
  return {.seed = 6198, .global_batch_size = global_batch_size};
}

Indices Take(DataLoader& loader, int batches) {
  Indices all;
  for (int i = 0; i < batches; ++i) {
    const Indices& indices = loader.Next().indices;
    all.insert(all.end(), indices.begin(), indices.end());
  }
  return all;
}

// NumPy's orders of 11 sequences at seed 6198: [4 3 2 6 0 9 10 7 8 1 5], [6 10 8 4 5 2 1 9 3 0 7] and
// [2 6 7 4 8 10 1 9 5 3 0]; three sequences of each are left out by batches of 4.
const Indices kThreeEpochs = {4, 3, 2, 6, 0, 9, 10, 7, 6, 10, 8, 4, 5, 2, 1, 9, 2, 6, 7, 4, 8, 10, 1, 9};

TEST_F(DataLoaderTest, YieldsOlmosOrderAcrossEpochs) {
  DataLoader loader(*dataset_, Options(4));
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  EXPECT_EQ(loader.position(), (DataPosition{0, 0}));
  for (std::size_t step = 0; step < 6; ++step) {
    const Batch& batch = loader.Next();
    const auto first = kThreeEpochs.begin() + static_cast<std::ptrdiff_t>(4 * step);
    EXPECT_EQ(batch.indices, Indices(first, first + 4));
    EXPECT_EQ(batch.epoch, static_cast<std::int64_t>(step / 2));
    EXPECT_EQ(loader.position(), (DataPosition{static_cast<std::int64_t>(step / 2), step % 2 == 0 ? 4 : 8}));
  }
}

TEST_F(DataLoaderTest, FillsTheBatchWithTheSequencesOfItsIndices) {
  DataLoader loader(*dataset_, Options(3));
  for (int step = 0; step < 10; ++step) {
    const Batch& batch = loader.Next();
    ASSERT_EQ(batch.sequence_count(), 3);
    EXPECT_EQ(batch.sequence_length, static_cast<std::int64_t>(kLength));
    ASSERT_EQ(batch.input_ids.size(), 3 * kLength);
    EXPECT_TRUE(batch.label_mask.empty());
    EXPECT_EQ(batch.labels, std::vector<std::int32_t>(3, 0));
    for (std::size_t i = 0; i < batch.input_ids.size(); ++i) {
      EXPECT_EQ(batch.input_ids[i], 10 * batch.indices[i / kLength] + static_cast<std::int64_t>(i % kLength));
    }
  }
}

TEST_F(DataLoaderTest, CarriesTheLabelMask) {
  std::string mask(23, '\1');  // a byte for each token of the file
  mask[2 * kLength + 1] = '\0';
  options_.paths = {options_.paths[0]};
  options_.label_mask_paths = {folder_.Write("mask", mask)};
  const MemMapDataset dataset(options_);
  DataLoader loader(dataset, Options(4));
  const Batch& batch = loader.Next();
  ASSERT_EQ(batch.label_mask.size(), 4 * kLength);
  for (std::size_t i = 0; i < batch.label_mask.size(); ++i) {
    EXPECT_EQ(batch.label_mask[i], batch.indices[i / kLength] == 2 && i % kLength == 1 ? 0 : 1);
  }
}

TEST_F(DataLoaderTest, GoesOnFromEveryPositionAsIfItHadNeverStopped) {
  for (const std::int64_t batch_size : {1, 2, 3, 4, 5, 11}) {
    for (const std::int64_t prefetch : {1, 2, 7}) {
      LoaderOptions options = Options(batch_size);
      options.prefetch_batches = prefetch;
      constexpr int kSteps = 30;
      DataLoader whole(*dataset_, options);
      const Indices expected = Take(whole, kSteps);
      for (int stop = 0; stop <= kSteps; ++stop) {
        DataLoader before(*dataset_, options);
        Indices indices = Take(before, stop);
        DataLoader after(*dataset_, options, before.position());
        const Indices rest = Take(after, kSteps - stop);
        indices.insert(indices.end(), rest.begin(), rest.end());
        ASSERT_EQ(indices, expected) << "batch size " << batch_size << ", stopped after " << stop;
        ASSERT_EQ(after.position(), whole.position());
      }
    }
  }
}

TEST_F(DataLoaderTest, DealsAGlobalBatchAmongTheRanks) {
  // 11 sequences and 2 ranks: the last of the order is dropped, and each global batch of 4 is the same as of one rank.
  LoaderOptions options = Options(4);
  options.world_size = 2;
  DataLoader first(*dataset_, options);
  options.rank = 1;
  DataLoader second(*dataset_, options);
  EXPECT_EQ(Take(first, 4), (Indices{4, 2, 0, 10, 6, 8, 5, 1}));
  EXPECT_EQ(Take(second, 4), (Indices{3, 6, 9, 7, 10, 4, 2, 9}));
  EXPECT_EQ(first.position(), second.position());
  EXPECT_EQ(first.position(), (DataPosition{1, 8}));

  // A run on two ranks goes on with one: the global batches stay.
  DataLoader alone(*dataset_, Options(4), first.position());
  EXPECT_EQ(Take(alone, 2), (Indices{2, 6, 7, 4, 8, 10, 1, 9}));
}

TEST_F(DataLoaderTest, RepeatsTheHeadOfTheOrderWithoutDropLast) {
  LoaderOptions options = Options(12);
  options.world_size = 4;
  EXPECT_THROW(DataLoader(*dataset_, options), ConfigError);
  options.drop_last = false;
  options.rank = 3;
  DataLoader loader(*dataset_, options);
  EXPECT_EQ(loader.batches_per_epoch(), 1);
  EXPECT_EQ(Take(loader, 2), (Indices{6, 7, 4, 4, 9, 6}));
}

TEST_F(DataLoaderTest, GoesOnWithAnotherBatchSize) {
  DataLoader loader(*dataset_, Options(3), {.epoch = 0, .examples_seen_this_epoch = 4});
  EXPECT_EQ(Take(loader, 3), (Indices{0, 9, 10, 7, 8, 1, 6, 10, 8}));
  DataLoader at_the_end(*dataset_, Options(5), {.epoch = 0, .examples_seen_this_epoch = 8});
  EXPECT_EQ(Take(at_the_end, 1), (Indices{6, 10, 8, 4, 5}));
  EXPECT_EQ(at_the_end.position(), (DataPosition{1, 5}));
}

TEST_F(DataLoaderTest, FastForwardsAcrossEpochs) {
  for (const std::int64_t batch_size : {1, 3, 4, 11}) {
    DataLoader whole(*dataset_, Options(batch_size));
    const Indices all = Take(whole, 40);
    for (const int done : {0, 1, 2, 5}) {
      DataLoader before(*dataset_, Options(batch_size));
      Take(before, done);
      for (int skipped = 0; skipped < 30; ++skipped) {
        LoaderOptions options = Options(batch_size);
        options.fast_forward_batches = skipped;
        DataLoader loader(*dataset_, options, before.position());
        const auto first = all.begin() + batch_size * (done + skipped);
        ASSERT_EQ(Take(loader, 5), Indices(first, first + 5 * batch_size)) << done << " + " << skipped;
      }
    }
  }
  LoaderOptions options = Options(4);
  options.fast_forward_batches = 2'000'000'000'001;
  DataLoader loader(*dataset_, options);
  EXPECT_EQ(loader.position(), (DataPosition{1'000'000'000'000, 4}));
}

TEST_F(DataLoaderTest, StopsInTheMiddleOfAnEpoch) {
  for (int taken = 0; taken < 5; ++taken) {
    for (const std::int64_t prefetch : {1, 4, 100}) {
      LoaderOptions options = Options(2);
      options.prefetch_batches = prefetch;
      DataLoader loader(*dataset_, options);
      Take(loader, taken);
    }
  }
}

TEST_F(DataLoaderTest, ThrowsWhatTheReaderThreadMetAtTheBatchThatMetIt) {
  // Sequence 10 has the ids 100 to 104; it is the 7th in the order of epoch 0.
  options_.vocab_size = 104;
  const MemMapDataset dataset(options_);
  LoaderOptions options = Options(2);
  options.prefetch_batches = 5;
  DataLoader loader(dataset, options);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the reader meets it before the first batch is taken
  EXPECT_EQ(Take(loader, 3), (Indices{4, 3, 2, 6, 0, 9}));
  const std::string expected = options_.paths[1] + ": token 34 (byte 68) is 104; the vocabulary has 104 ids, 0 to 103";
  EXPECT_EQ(ErrorOf([&] { loader.Next(); }), expected);
  EXPECT_EQ(ErrorOf([&] { loader.Next(); }), expected);
  EXPECT_EQ(loader.position(), (DataPosition{0, 6}));
}

TEST_F(DataLoaderTest, ReportsAFileThatWasCutShortWhileItRan) {
  DataLoader loader(*dataset_, Options(1));
  std::filesystem::resize_file(options_.paths[1], 0);
  ExpectParts(ErrorOf([&] { Take(loader, 12); }), {"has become shorter while in use: 0 bytes"});
}

TEST_F(DataLoaderTest, RefusesDataThatCannotFillABatch) {
  EXPECT_EQ(ErrorOf<ConfigError>([&] { DataLoader(*dataset_, Options(12)); }),
            "the training data hold 11 sequences of 5 tokens; one global batch (global_train_batch_size) needs 12");
  LoaderOptions options = Options(6);
  options.world_size = 4;
  EXPECT_EQ(ErrorOf<ConfigError>([&] { DataLoader(*dataset_, options); }),
            "global_train_batch_size is 6; it must be a multiple of the 4 ranks");
  EXPECT_EQ(
      ErrorOf<ConfigError>([&] {
        DataLoader(*dataset_, Options(4), {2, 12});
      }),
      "the run stopped after 12 sequences of epoch 2; the training data hold 11 sequences, so they are not those of "
      "that run");
  EXPECT_THROW(DataLoader(*dataset_, Options(0)), ArgumentError);
  EXPECT_THROW(DataLoader(*dataset_, Options(4), {-1, 0}), ConfigError);
}

}  // namespace
}  // namespace coat
