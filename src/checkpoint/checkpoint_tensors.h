#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/part_index.h"
#include "checkpoint/safetensors.h"

namespace coat {

/// The tensors of a checkpoint, each whole under its name, whether one file holds them or many hold their parts.
///
/// A file of parts is opened, and compared with its record and with the index, when elements that it holds are first
/// asked for. Every fault is an IoError that names the file and the tensor. Move-only; one caller at a time.
class CheckpointTensors {
 public:
  /// Of `file` ("model.safetensors"), or of the files that hold its parts. Throws IoError if there is neither.
  CheckpointTensors(const CheckpointReader& reader, std::string_view file);
  /// Of the parts that `index` describes; `path` is the index's own and `open` opens a file of it.
  CheckpointTensors(PartIndex index, std::string path, std::function<SafetensorsReader(const std::string&)> open);

  /// Whether a checkpoint has `file` or its parts.
  static bool Has(const CheckpointReader& reader, std::string_view file);

  /// Of the one file, or of the index.
  const std::string& path() const { return path_; }
  /// In the order of the one file, or of the index. Parts are in the order of their elements; `file` counts files().
  const std::vector<PartedTensor>& tensors() const { return index_.tensors; }
  /// The names of the files that hold the tensors.
  const std::vector<std::string>& files() const { return index_.files; }

  bool Contains(std::string_view name) const { return places_.find(name) != places_.end(); }
  /// Its type and whole shape, and its parts. Throws IoError if there is no such tensor.
  const PartedTensor& Tensor(std::string_view name) const;

  /// The bytes of one of the tensor's parts. Valid while this lives.
  std::span<const std::byte> Bytes(const PartedTensor& tensor, const TensorPart& part) const;
  /// Visits the elements of `part`, a run of the tensor's, in order: some of them and their bytes.
  void ForEachRun(std::string_view name, Part part,
                  const std::function<void(Part run, std::span<const std::byte> bytes)>& visit) const;

 private:
  void IndexNames();
  const SafetensorsReader& FileOf(std::size_t number) const;

  PartIndex index_;
  std::string path_;
  bool in_parts_ = true;
  std::function<SafetensorsReader(const std::string&)> open_;
  std::map<std::string, std::size_t, std::less<>> places_;       // name to place in index_.tensors
  mutable std::vector<std::optional<SafetensorsReader>> files_;  // those that are open
};

/// Writes the tensors, each whole, as one new safetensors file, a part at a time: byte for byte what a run of one rank
/// saves. `written` is told the elements of each.
FileRecord WriteWhole(
    const CheckpointTensors& tensors, const std::string& path,
    const std::function<void(std::int64_t elements)>& written = [](std::int64_t) {});

}  // namespace coat
