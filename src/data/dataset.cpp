#include "data/dataset.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace coat {

namespace {

/// Throws IoError unless `bytes`, which `path` has from `offset` on, are 0 or 1.
void RequireMask(const std::string& path, std::int64_t offset, std::span<const std::byte> bytes) {
  const auto bad = std::find_if(bytes.begin(), bytes.end(), [](std::byte byte) { return byte > std::byte{1}; });
  if (bad == bytes.end()) return;
  throw IoError(fmt::format("{}: byte {} is {}; a label mask has one byte a token, 0 or 1", path,
                            offset + (bad - bytes.begin()), std::to_integer<int>(*bad)));
}

}  // namespace

MemMapDataset::MemMapDataset(const DatasetOptions& options)
    : sequence_length_(options.sequence_length),
      vocab_size_(options.vocab_size),
      end_of_document_(options.end_of_document),
      repetition_filter_(options.repetition_filter),
      first_sequences_({0}) {
  COAT_REQUIRE(options.vocab_size > 0, "vocab_size is {}; it must be positive", options.vocab_size);
  if (options.paths.empty() && options.datasets.empty()) {
    throw ConfigError(
        fmt::format("{0}: no token files; give a list of at least one in {0}.paths or {0}.datasets", options.key));
  }
  if (!options.paths.empty() && !options.datasets.empty()) {
    throw ConfigError(fmt::format("{0}: both {0}.paths and {0}.datasets are given; give one of them", options.key));
  }
  if (!options.paths.empty()) {
    labels_.emplace_back();
    AddFiles(options.paths, options);
  }
  for (const auto& [label, paths] : options.datasets) {
    if (paths.empty()) {
      throw ConfigError(fmt::format("{}.datasets.{}: no token files; give a list of at least one", options.key, label));
    }
    labels_.push_back(label);
    AddFiles(paths, options);
  }
  if (!options.label_mask_paths.empty()) {
    AddMasks(options);
  }
}

void MemMapDataset::AddFiles(const std::vector<std::string>& paths, const DatasetOptions& options) {
  for (const std::string& path : paths) {
    if (path.find("://") != std::string::npos) {
      throw ConfigError(
          fmt::format("{}: {} is a URL; only local files are read, so download it first", options.key, path));
    }
    files_.emplace_back(path, options.token_type, options.sequence_length);
    first_sequences_.push_back(first_sequences_.back() + files_.back().sequence_count());
    file_labels_.push_back(static_cast<std::int32_t>(labels_.size()) - 1);
  }
}

void MemMapDataset::AddMasks(const DatasetOptions& options) {
  if (options.label_mask_paths.size() != files_.size()) {
    throw ConfigError(fmt::format("{}.label_mask_paths: {} files for {} token files; give one for each, in their order",
                                  options.key, options.label_mask_paths.size(), files_.size()));
  }
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const MappedFile& mask = masks_.emplace_back(options.label_mask_paths[i], ReadOrder::kScattered);
    if (HasNumpyHeader(mask.bytes())) {
      throw IoError(fmt::format(
          "{0}: has the header of NumPy's .npy format at byte 0; label masks are raw bytes without a header. "
          "Convert it in Python: numpy.load(\"{0}\").astype(bool).tofile(\"NEW_FILE\")",
          mask.path()));
    }
    if (mask.size() != files_[i].token_count()) {
      throw IoError(fmt::format("{}: has {} bytes; its token file {} has {} tokens (a label mask has one byte a token)",
                                mask.path(), mask.size(), files_[i].path(), files_[i].token_count()));
    }
  }
}

MemMapDataset::Place MemMapDataset::PlaceOf(std::int64_t index) const {
  COAT_REQUIRE(index >= 0 && index < sequence_count(), "sequence {} was asked for; the data set has {}", index,
               sequence_count());
  const auto next = std::upper_bound(first_sequences_.begin(), first_sequences_.end(), index);
  const auto file = static_cast<std::size_t>(next - first_sequences_.begin()) - 1;
  return {.file = file, .sequence = index - first_sequences_[file]};
}

std::int32_t MemMapDataset::LabelOf(std::int64_t index) const {
  return file_labels_[PlaceOf(index).file];
}

void MemMapDataset::ReadTokens(std::int64_t index, std::span<std::int32_t> tokens) const {
  const Place place = PlaceOf(index);
  files_[place.file].ReadSequence(place.sequence, vocab_size_, tokens);
}

void MemMapDataset::ReadLabelMask(std::int64_t index, std::span<std::uint8_t> mask) const {
  COAT_REQUIRE(has_label_mask(), "the data set has no label mask");
  COAT_REQUIRE(static_cast<std::int64_t>(mask.size()) == sequence_length_, "there is room for {} mask bytes; T is {}",
               mask.size(), sequence_length_);
  const Place place = PlaceOf(index);
  const MappedFile& file = masks_[place.file];
  const std::int64_t offset = place.sequence * sequence_length_;
  std::memcpy(mask.data(), file.Range(offset, sequence_length_).data(), mask.size());
  RequireMask(file.path(), offset, std::as_bytes(mask));
}

void MemMapDataset::CheckSequences(std::int64_t first, std::int64_t count) const {
  const std::int64_t end = first + count;
  for (std::int64_t index = first; index < end;) {
    const Place place = PlaceOf(index);
    const std::int64_t of_file = std::min(end - index, files_[place.file].sequence_count() - place.sequence);
    files_[place.file].CheckSequences(place.sequence, of_file, vocab_size_);
    if (has_label_mask()) {
      const MappedFile& mask = masks_[place.file];
      const std::int64_t offset = place.sequence * sequence_length_;
      RequireMask(mask.path(), offset, mask.Range(offset, of_file * sequence_length_));
    }
    index += of_file;
  }
}

}  // namespace coat
