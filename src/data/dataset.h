#pragma once
// A data set: several token files seen as one list of sequences.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "data/repetition.h"
#include "data/token_file.h"

namespace coat {

/// The files of a data set and how to read them. Either `paths` or `datasets` is given.
struct DatasetOptions {
  std::vector<std::string> paths = {};  // token files; their order counts
  std::map<std::string, std::vector<std::string>> datasets =
      {};                                          // label -> token files; read in the order of the labels
  std::vector<std::string> label_mask_paths = {};  // none, or one for each token file in the same order
  TokenType token_type = TokenType::kUint16;
  std::int64_t sequence_length = 0;                                  // T
  std::int64_t vocab_size = 0;                                       // every token id must be below it
  std::string key = "data";                                          // the configuration key, for messages
  std::optional<std::int32_t> end_of_document = std::nullopt;        // where batches are to say what is one document
  std::optional<RepetitionFilter> repetition_filter = std::nullopt;  // where batches are to say what repeats itself
};

/// The sequences of several token files under one index: file by file in the order given, T tokens each, never across
/// two files. Owns the mapped files. Reading from several threads at once is safe.
///
/// A label mask file has one byte a token, 1 where the token counts as a label, and is cut in the same way.
/// Source: OLMo, olmo/data/memmap_dataset.py.
class MemMapDataset {
 public:
  /// Maps every file.
  ///
  /// Throws ConfigError when neither or both of `paths` and `datasets` are given, when a list is empty, and when the
  /// mask files are not as many as the token files. Throws IoError as TokenFile, and when a mask file has the header
  /// of NumPy's .npy format or has not one byte for each token of its token file.
  explicit MemMapDataset(const DatasetOptions& options);

  /// The number of sequences in all files.
  std::int64_t sequence_count() const { return first_sequences_.back(); }
  std::int64_t sequence_length() const { return sequence_length_; }
  bool has_label_mask() const { return !masks_.empty(); }
  const std::optional<std::int32_t>& end_of_document() const { return end_of_document_; }
  const std::optional<RepetitionFilter>& repetition_filter() const { return repetition_filter_; }

  /// The labels of `datasets`, sorted by their bytes; one empty label for `paths`.
  const std::vector<std::string>& labels() const { return labels_; }
  /// Which of labels() sequence `index` belongs to.
  std::int32_t LabelOf(std::int64_t index) const;

  /// Copies the tokens of sequence `index` to `tokens` ([T]). Throws as TokenFile::ReadSequence.
  void ReadTokens(std::int64_t index, std::span<std::int32_t> tokens) const;

  /// Copies the label mask of sequence `index`, bytes of 0 and 1, to `mask` ([T]). Only with has_label_mask().
  ///
  /// Throws IoError for a byte above 1, naming file and byte.
  void ReadLabelMask(std::int64_t index, std::span<std::uint8_t> mask) const;

  /// Throws what ReadTokens or ReadLabelMask throws for any of the sequences [first, first + count).
  void CheckSequences(std::int64_t first, std::int64_t count) const;

 private:
  struct Place {
    std::size_t file;
    std::int64_t sequence;  // within the file
  };
  Place PlaceOf(std::int64_t index) const;
  void AddFiles(const std::vector<std::string>& paths, const DatasetOptions& options);
  void AddMasks(const DatasetOptions& options);

  std::int64_t sequence_length_;
  std::int64_t vocab_size_;
  std::optional<std::int32_t> end_of_document_;
  std::optional<RepetitionFilter> repetition_filter_;
  std::vector<TokenFile> files_;
  std::vector<MappedFile> masks_;              // none, or one for each of files_
  std::vector<std::int64_t> first_sequences_;  // [files + 1]: the index of each file's first sequence, then the total
  std::vector<std::int32_t> file_labels_;      // [files]
  std::vector<std::string> labels_;
};

}  // namespace coat
