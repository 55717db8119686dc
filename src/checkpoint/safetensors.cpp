#include "checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "checkpoint/quoted.h"
#include "checkpoint/safetensors_header.h"

namespace coat {

namespace {

constexpr std::size_t kLengthBytes = 8;

std::uint64_t LittleEndian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return value;
}

std::array<std::byte, kLengthBytes> LittleEndian(std::uint64_t value) {
  std::array<std::byte, kLengthBytes> bytes;
  for (std::size_t i = 0; i < kLengthBytes; ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
  return bytes;
}

/// The tensors in the order of the file, with their offsets.
std::vector<TensorInfo> LayOut(std::vector<TensorInfo> tensors) {
  std::set<std::string_view> names;
  for (const TensorInfo& tensor : tensors) {
    COAT_REQUIRE(tensor.name != "__metadata__", "SafetensorsWriter: a tensor cannot be called __metadata__");
    COAT_REQUIRE(names.insert(tensor.name).second, "SafetensorsWriter: tensor {} comes twice", Quoted(tensor.name));
    COAT_REQUIRE(ElementBytes(tensor.dtype).has_value(),
                 "SafetensorsWriter: tensor {} has the unknown dtype {}; expected one of {}", Quoted(tensor.name),
                 Quoted(tensor.dtype), KnownDtypes());
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return *ElementBytes(a.dtype) > *ElementBytes(b.dtype);
  });
  std::uint64_t filled = 0;
  for (TensorInfo& tensor : tensors) {
    const std::optional<std::uint64_t> size_bytes = TensorBytes(tensor.shape, *ElementBytes(tensor.dtype));
    COAT_REQUIRE(
        size_bytes.has_value() && *size_bytes <= static_cast<std::uint64_t>(INT64_MAX) - filled,
        "SafetensorsWriter: tensor {} with shape {}: a size is negative, or the file would exceed 2^63 - 1 bytes",
        Quoted(tensor.name), ShapeText(tensor.shape));
    tensor.begin = filled;
    tensor.end = filled += *size_bytes;
  }
  return tensors;
}

}  // namespace

SafetensorsReader::SafetensorsReader(const std::string& path) : SafetensorsReader(MappedFile(path)) {}

SafetensorsReader::SafetensorsReader(MappedFile file) : file_(std::move(file)) {
  const std::span<const std::byte> bytes = file_.bytes();
  if (bytes.size() < kLengthBytes) {
    throw IoError(fmt::format("{}: {} bytes long; a safetensors file has at least 8 for the length of its header",
                              path(), bytes.size()));
  }
  const std::uint64_t header_bytes = LittleEndian(bytes.first(kLengthBytes));
  if (header_bytes > kMostHeaderBytes) {
    throw IoError(fmt::format("{}: header length at byte 0 is {}; the format allows at most {}", path(), header_bytes,
                              kMostHeaderBytes));
  }
  if (header_bytes > bytes.size() - kLengthBytes) {
    throw IoError(fmt::format("{}: header length at byte 0 is {}, but only {} bytes follow it (truncated)", path(),
                              header_bytes, bytes.size() - kLengthBytes));
  }
  data_begin_ = static_cast<std::int64_t>(kLengthBytes + header_bytes);
  SafetensorsHeader header = ParseSafetensorsHeader(file_.text().substr(kLengthBytes, header_bytes),
                                                    bytes.size() - kLengthBytes - header_bytes, path());
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorInfo& SafetensorsReader::Info(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    throw IoError(fmt::format("{}: no tensor {} among its {}{}", path(), Quoted(name), tensors_.size(),
                              tensors_.empty() ? "" : fmt::format(" (the first is {})", Quoted(tensors_[0].name))));
  }
  return tensors_[found->second];
}

std::span<const std::byte> SafetensorsReader::Bytes(std::string_view name) const {
  return BytesOf(Info(name));
}

std::span<const std::byte> SafetensorsReader::Bytes(std::string_view name, std::string_view dtype,
                                                    const std::vector<std::int64_t>& shape) const {
  const TensorInfo& info = Info(name);
  if (info.dtype != dtype || info.shape != shape) {
    throw IoError(fmt::format("{}: tensor {} is {} {}; expected {} {}", path(), Quoted(name), info.dtype,
                              ShapeText(info.shape), dtype, ShapeText(shape)));
  }
  return BytesOf(info);
}

std::span<const std::byte> SafetensorsReader::BytesOf(const TensorInfo& info) const {
  return file_.Range(data_begin_ + static_cast<std::int64_t>(info.begin), static_cast<std::int64_t>(info.size_bytes()));
}

/// Everything that the first byte depends on, so that a refused request leaves no file.
struct SafetensorsWriter::Layout {
  std::vector<TensorInfo> tensors;
  std::string header;

  Layout(std::vector<TensorInfo> unordered, const std::map<std::string, std::string>& metadata)
      : tensors(LayOut(std::move(unordered))), header(FormatSafetensorsHeader(tensors, metadata)) {
    COAT_REQUIRE(header.size() <= kMostHeaderBytes,
                 "SafetensorsWriter: the header would take {} bytes; the format allows {}", header.size(),
                 kMostHeaderBytes);
  }
};

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<TensorInfo> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : SafetensorsWriter(Layout(std::move(tensors), metadata), path) {}

SafetensorsWriter::SafetensorsWriter(Layout layout, const std::string& path)
    : tensors_(std::move(layout.tensors)), file_(path) {
  file_.Write(LittleEndian(layout.header.size()));
  file_.Write(layout.header);
  SkipCompleteTensors();
}

void SafetensorsWriter::Write(std::string_view name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  COAT_REQUIRE(current_ < tensors_.size(), "SafetensorsWriter {}: {} written after the last tensor was complete",
               file_.path(), Quoted(name));
  const TensorInfo& tensor = tensors_[current_];
  COAT_REQUIRE(tensor.name == name, "SafetensorsWriter {}: {} written when it was {}'s turn", file_.path(),
               Quoted(name), Quoted(tensor.name));
  COAT_REQUIRE(bytes.size() <= tensor.end - written_, "SafetensorsWriter {}: {} bytes written to {}, which has {} left",
               file_.path(), bytes.size(), Quoted(name), tensor.end - written_);
  file_.Write(bytes);
  written_ += bytes.size();
  SkipCompleteTensors();
}

FileRecord SafetensorsWriter::Finish() {
  COAT_REQUIRE(current_ == tensors_.size(), "SafetensorsWriter {}: finished {} bytes before the end of {}",
               file_.path(), tensors_[current_].end - written_, Quoted(tensors_[current_].name));
  return file_.Finish();
}

void SafetensorsWriter::SkipCompleteTensors() {
  while (current_ < tensors_.size() && tensors_[current_].end == written_) ++current_;
}

}  // namespace coat
