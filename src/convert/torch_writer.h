#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "convert/float_type.h"
#include "convert/zip_writer.h"

namespace coat {

/// A tensor of a state dict.
struct StateDictEntry {
  std::string name;
  std::vector<std::int64_t> shape;

  std::int64_t elements() const;
};

/// Writes a state dict, an OrderedDict of tensors of one type, as torch.save does: torch.load reads it, with
/// weights_only and with mmap too. From front to back, holding no tensor in memory; the same calls give the same bytes.
///
/// Faults of the disk are IoErrors, faults of the caller ArgumentErrors. Move-only.
class TorchWriter {
 public:
  /// Throws IoError if `path` exists.
  TorchWriter(const std::string& path, std::vector<StateDictEntry> entries, FloatType type);

  /// Starts the next entry's tensor.
  void Next();
  /// Appends bytes of it.
  void Write(std::span<const std::byte> bytes) { zip_.Write(bytes); }
  /// To be called once, when all tensors are complete.
  void Finish();

 private:
  ZipWriter zip_;
  std::string folder_;  // of the archive
  std::vector<StateDictEntry> entries_;
  FloatType type_;
  std::size_t next_ = 0;
};

}  // namespace coat
