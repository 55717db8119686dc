#include "data/dataset.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "data/batch.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"
#include "text/tokenize.h"

namespace coat {
namespace {

/// A file of `count` uint16 tokens: first, first + 1, ...
std::string Tokens(const TempDir& folder, const std::string& name, std::uint16_t first, std::size_t count) {
  std::vector<std::uint16_t> ids(count);
  for (std::size_t i = 0; i < count; ++i) {
    ids[i] = static_cast<std::uint16_t>(first + i);
  }
  return folder.Write(name, {reinterpret_cast<const char*>(ids.data()), count * 2});
}

std::vector<std::int32_t> Sequence(const MemMapDataset& dataset, std::int64_t index) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(dataset.sequence_length()));
  dataset.ReadTokens(index, tokens);
  return tokens;
}

std::vector<std::uint8_t> Mask(const MemMapDataset& dataset, std::int64_t index) {
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(dataset.sequence_length()));
  dataset.ReadLabelMask(index, mask);
  return mask;
}

DatasetOptions Options(std::vector<std::string> paths) {
  return {.paths = std::move(paths), .sequence_length = 3, .vocab_size = 1000};
}

using Ids = std::vector<std::int32_t>;

TEST(MemMapDataset, ReadsFilesOfTokens) {
  const TempDir folder;
  TokenizeFiles({.inputs = {folder.Write("a", "abcdefgh")}, .output = folder.File("out.npy")}, *OpenTokenizer("bytes"));
  DatasetOptions options = Options({folder.File("out.npy")});
  options.sequence_length = 4;
  const MemMapDataset dataset(options);
  EXPECT_EQ(dataset.sequence_count(), 2);
  EXPECT_EQ(Sequence(dataset, 1), (std::vector<std::int32_t>{'e', 'f', 'g', 'h'}));
}

TEST(MemMapDataset, JoinsFilesInTheirOrderAndDropsEachRemainder) {
  const TempDir folder;
  // 8 = 2 sequences and 2 tokens, 3 = 1 sequence, 11 = 3 sequences and 2 tokens.
  const MemMapDataset dataset(
      Options({Tokens(folder, "z", 100, 8), Tokens(folder, "a", 200, 3), Tokens(folder, "m", 300, 11)}));
  EXPECT_EQ(dataset.sequence_count(), 6);
  EXPECT_EQ(dataset.sequence_length(), 3);
  EXPECT_EQ(Sequence(dataset, 0), (Ids{100, 101, 102}));
  EXPECT_EQ(Sequence(dataset, 1), (Ids{103, 104, 105}));
  EXPECT_EQ(Sequence(dataset, 2), (Ids{200, 201, 202}));
  EXPECT_EQ(Sequence(dataset, 3), (Ids{300, 301, 302}));
  EXPECT_EQ(Sequence(dataset, 5), (Ids{306, 307, 308}));
  EXPECT_EQ(dataset.labels(), std::vector<std::string>{""});
  EXPECT_EQ(dataset.LabelOf(5), 0);
  EXPECT_FALSE(dataset.has_label_mask());
  EXPECT_THROW(Sequence(dataset, 6), ArgumentError);
  EXPECT_THROW(Sequence(dataset, -1), ArgumentError);
  EXPECT_THROW(Mask(dataset, 0), ArgumentError);
}

TEST(MemMapDataset, ReadsAFileGivenTwiceTwice) {
  const TempDir folder;
  const std::string path = Tokens(folder, "a", 1, 6);
  const MemMapDataset dataset(Options({path, path}));
  EXPECT_EQ(dataset.sequence_count(), 4);
  EXPECT_EQ(Sequence(dataset, 3), Sequence(dataset, 1));
}

TEST(MemMapDataset, ReadsLabeledSetsInTheOrderOfTheirLabels) {
  const TempDir folder;
  DatasetOptions options = Options({});
  options.datasets["wiki"] = {Tokens(folder, "w", 10, 4)};
  options.datasets["\xc3\xa9t\xc3\xa9"] = {Tokens(folder, "e", 20, 3)};  // after every ASCII label
  options.datasets["books"] = {Tokens(folder, "b2", 30, 6), Tokens(folder, "b1", 40, 3)};
  options.datasets["Zeitung"] = {Tokens(folder, "n", 50, 3)};  // before every lower-case label
  const MemMapDataset dataset(options);
  EXPECT_EQ(dataset.labels(), (std::vector<std::string>{"Zeitung", "books", "wiki", "\xc3\xa9t\xc3\xa9"}));
  ASSERT_EQ(dataset.sequence_count(), 6);
  std::vector<std::int32_t> labels, first_tokens;
  for (std::int64_t i = 0; i < 6; ++i) {
    labels.push_back(dataset.LabelOf(i));
    first_tokens.push_back(Sequence(dataset, i)[0]);
  }
  EXPECT_EQ(labels, (Ids{0, 1, 1, 1, 2, 3}));
  EXPECT_EQ(first_tokens, (Ids{50, 30, 33, 40, 10, 20}));
}

TEST(MemMapDataset, CutsLabelMasksLikeTheTokens) {
  const TempDir folder;
  DatasetOptions options = Options({Tokens(folder, "a", 100, 8), Tokens(folder, "b", 200, 3)});
  options.label_mask_paths = {folder.Write("am", std::string("\1\0\1\0\0\1\1\1", 8)),
                              folder.Write("bm", std::string("\0\1\1", 3))};
  const MemMapDataset dataset(options);
  EXPECT_TRUE(dataset.has_label_mask());
  EXPECT_EQ(Mask(dataset, 0), (std::vector<std::uint8_t>{1, 0, 1}));
  EXPECT_EQ(Mask(dataset, 1), (std::vector<std::uint8_t>{0, 0, 1}));
  EXPECT_EQ(Mask(dataset, 2), (std::vector<std::uint8_t>{0, 1, 1}));
}

TEST(MemMapDataset, RefusesMasksThatDoNotFit) {
  const TempDir folder;
  DatasetOptions options = Options({Tokens(folder, "a", 100, 8), Tokens(folder, "b", 200, 3)});
  const std::string whole = folder.Write("am", std::string(8, '\1'));
  options.label_mask_paths = {whole};
  EXPECT_EQ(ErrorOf<ConfigError>([&] { MemMapDataset{options}; }),
            "data.label_mask_paths: 1 files for 2 token files; give one for each, in their order");
  const std::string brief = folder.Write("bm", std::string(2, '\1'));
  options.label_mask_paths = {whole, brief};
  EXPECT_EQ(ErrorOf([&] { MemMapDataset{options}; }), brief + ": has 2 bytes; its token file " + folder.File("b") +
                                                          " has 3 tokens (a label mask has one byte a token)");
  // As many whole sequences, but one token less: it would be that of other data.
  options.label_mask_paths = {folder.Write("other", std::string(7, '\1')), folder.Write("bw", std::string(3, '\1'))};
  EXPECT_THROW(MemMapDataset{options}, IoError);
  // The total alone would agree here: 2 + 1 sequences in both.
  options.label_mask_paths = {folder.Write("c", std::string(3, '\1')), folder.Write("d", std::string(6, '\1'))};
  EXPECT_THROW(MemMapDataset{options}, IoError);
}

TEST(MemMapDataset, RefusesAMaskByteThatIsNoBool) {
  const TempDir folder;
  DatasetOptions options = Options({Tokens(folder, "a", 100, 6)});
  const std::string mask = folder.Write("am", std::string("\1\1\1\0\2\1", 6));
  options.label_mask_paths = {mask};
  const MemMapDataset dataset(options);
  EXPECT_EQ(Mask(dataset, 0), (std::vector<std::uint8_t>{1, 1, 1}));
  EXPECT_EQ(ErrorOf([&] { Mask(dataset, 1); }), mask + ": byte 4 is 2; a label mask has one byte a token, 0 or 1");
}

TEST(MemMapDataset, RefusesListsOfNoFiles) {
  const TempDir folder;
  DatasetOptions options = Options({});
  options.key = "evaluators[1].data";
  EXPECT_EQ(ErrorOf<ConfigError>([&] { MemMapDataset{options}; }),
            "evaluators[1].data: no token files; give a list of at least one in evaluators[1].data.paths or "
            "evaluators[1].data.datasets");
  options.datasets["wiki"] = {};
  EXPECT_EQ(ErrorOf<ConfigError>([&] { MemMapDataset{options}; }),
            "evaluators[1].data.datasets.wiki: no token files; give a list of at least one");
  options.paths = {Tokens(folder, "a", 100, 6)};
  EXPECT_EQ(ErrorOf<ConfigError>([&] { MemMapDataset{options}; }),
            "evaluators[1].data: both evaluators[1].data.paths and evaluators[1].data.datasets are given; give one of "
            "them");
}

TEST(MemMapDataset, RefusesUrls) {
  EXPECT_EQ(ErrorOf<ConfigError>([] { MemMapDataset{Options({"https://host.example/part-000.npy"})}; }),
            "data: https://host.example/part-000.npy is a URL; only local files are read, so download it first");
}

TEST(MemMapDataset, NamesTheFileOfABadTokenNotTheIndex) {
  const TempDir folder;
  DatasetOptions options = Options({Tokens(folder, "a", 0, 8), Tokens(folder, "b", 994, 9)});
  const MemMapDataset dataset(options);
  EXPECT_EQ(Sequence(dataset, 3), (Ids{997, 998, 999}));
  EXPECT_EQ(ErrorOf([&] { Sequence(dataset, 4); }),
            folder.File("b") + ": token 6 (byte 12) is 1000; the vocabulary has 1000 ids, 0 to 999");
  EXPECT_NO_THROW(dataset.CheckSequences(0, 4));  // of two files
  EXPECT_EQ(ErrorOf([&] { dataset.CheckSequences(0, 5); }), ErrorOf([&] { Sequence(dataset, 4); }));
}

TEST(ReadBatch, SaysWhatIsOneDocumentAndWhatRepeatsItself) {
  const TempDir folder;
  const std::vector<std::uint16_t> ids = {4, 0, 6, 7, 7, 7, 0, 5, 5};
  DatasetOptions options = Options({folder.Write("x", {reinterpret_cast<const char*>(ids.data()), ids.size() * 2})});
  Batch batch;
  batch.indices = {2, 0, 1};
  ReadBatch(MemMapDataset(options), batch);
  EXPECT_TRUE(batch.documents.empty());
  EXPECT_TRUE(batch.instance_mask.empty());

  options.end_of_document = 0;
  options.repetition_filter = {.min_period = 1, .max_period = 1, .max_count = 3};
  ReadBatch(MemMapDataset(options), batch);
  EXPECT_EQ(batch.input_ids, (Ids{0, 5, 5, 4, 0, 6, 7, 7, 7}));
  EXPECT_EQ(batch.documents, (Ids{0, 1, 1, 0, 0, 2, 0, 0, 0}));
  EXPECT_EQ(batch.instance_mask, (std::vector<std::uint8_t>{1, 1, 0}));
}

}  // namespace
}  // namespace coat
