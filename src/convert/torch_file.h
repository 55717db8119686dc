#pragma once
// Files of torch.save: tensors and plain values.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/float_type.h"
#include "convert/pickle_reader.h"
#include "convert/zip_reader.h"

namespace coat {

/// A tensor of such a file: row-major, little-endian, at no particular alignment.
struct TorchTensor {
  std::string storage_class;          // "FloatStorage"
  std::vector<std::int64_t> shape;    // empty: one element
  const ZipEntry* storage = nullptr;  // several tensors may share one
  std::int64_t begin = 0;             // byte of the storage
  std::int64_t size_bytes = 0;

  /// Nothing for integers and float64.
  std::optional<FloatType> type() const;
};

/// A zip file of torch.save (PyTorch 1.6 or later), mapped for reading. Its pickle is read as data (pickle_reader.h):
/// only the globals of tensors on their storages may occur. Every fault is an IoError that names the file. Move-only.
class TorchFile {
 public:
  /// `also_allowed` are globals of values that are no tensors.
  explicit TorchFile(const std::string& path, std::span<const std::string_view> also_allowed = {});

  const std::string& path() const { return zip_.path(); }
  /// What was saved.
  const PickleValue& root() const { return pickle_->root(); }

  /// The tensor that `value` is. Throws IoError with `name` if it is none, is not contiguous, or its storage is
  /// missing, of another size than said, or too small.
  TorchTensor Tensor(const PickleValue& value, std::string_view name) const;

  /// The tensor's bytes, valid while the file lives.
  std::span<const std::byte> Bytes(const TorchTensor& tensor) const;

 private:
  const ZipEntry& Entry(std::string_view name) const;

  ZipReader zip_;
  std::string folder_;  // of the archive: "model/"
  std::unique_ptr<Pickle> pickle_;
};

}  // namespace coat
