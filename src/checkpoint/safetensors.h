#pragma once
// Files of named tensors in the safetensors format (https://github.com/huggingface/safetensors#format): 8 bytes of
// header length, a JSON header, then the tensors' bytes. Any program that reads the format reads these files.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/output_file.h"
#include "checkpoint/tensor_info.h"

namespace coat {

/// A safetensors file mapped for reading. The whole header is checked before a byte is handed out; every fault is an
/// IoError that names the file, the tensor, what was found and what is accepted. Move-only; readers may share it.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::string& path);
  explicit SafetensorsReader(MappedFile file);

  const std::string& path() const { return file_.path(); }
  /// In the order of their bytes.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  bool Contains(std::string_view name) const { return index_.find(name) != index_.end(); }

  /// Throws IoError if there is no such tensor.
  const TensorInfo& Info(std::string_view name) const;

  /// The tensor's bytes, at no particular alignment. Valid while the reader lives. Throws IoError as Info does, and
  /// when the file has become shorter meanwhile.
  std::span<const std::byte> Bytes(std::string_view name) const;

  /// The same, and an IoError unless the tensor has this dtype and shape.
  std::span<const std::byte> Bytes(std::string_view name, std::string_view dtype,
                                   const std::vector<std::int64_t>& shape) const;

 private:
  std::span<const std::byte> BytesOf(const TensorInfo& info) const;

  MappedFile file_;
  std::int64_t data_begin_ = 0;  // the byte of the file at which the tensors' begin
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, std::size_t, std::less<>> index_;  // name to place in tensors_
};

/// Writes a safetensors file from front to back, holding no tensor in memory. The same calls give the same bytes.
///
/// The tensors are laid out by falling element size, in the given order within one size, so that each starts at a
/// multiple of its element size; `tensors()` is that order, and Write must follow it. Faults of the disk are IoErrors,
/// faults of the caller ArgumentErrors. The file is whole and on the disk when Finish returns. Move-only.
class SafetensorsWriter {
 public:
  /// Makes the file (IoError if it exists) and writes the header. Throws ArgumentError for a name that comes twice or
  /// is
  /// __metadata__, an unknown dtype, a size that is negative or overflows, or text that is not UTF-8.
  /// The infos' `begin` and `end` are not looked at.
  SafetensorsWriter(const std::string& path, std::vector<TensorInfo> tensors,
                    const std::map<std::string, std::string>& metadata = {});

  const std::vector<TensorInfo>& tensors() const { return tensors_; }

  /// Appends bytes of the tensor whose turn it is; a tensor may come in any number of pieces.
  /// Throws ArgumentError if it is another's turn or the tensor has fewer bytes left.
  void Write(std::string_view name, std::span<const std::byte> bytes);

  /// Throws ArgumentError if a tensor is not complete.
  FileRecord Finish();

 private:
  struct Layout;
  SafetensorsWriter(Layout layout, const std::string& path);
  void SkipCompleteTensors();

  std::vector<TensorInfo> tensors_;
  OutputFile file_;
  std::size_t current_ = 0;    // whose turn it is
  std::uint64_t written_ = 0;  // bytes of data so far
};

}  // namespace coat
