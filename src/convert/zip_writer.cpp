#include "convert/zip_writer.h"

#include "base/error.h"
#include "checkpoint/checksum.h"
#include "convert/zip_format.h"

namespace coat {

namespace {

/// Little-endian numbers one after another.
class Record {
 public:
  Record& Add(std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
    return *this;
  }
  Record& Add(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

constexpr std::uint64_t kFlags = zip::kDescriptorFlag | zip::kUtf8Flag;
constexpr std::uint64_t kDate = 0x0021;  // 1 January 1980, the format's first
constexpr std::uint64_t kPaddingField = 0x4246;
constexpr std::uint64_t kAlignment = 64;

}  // namespace

void ZipWriter::Begin(const std::string& name, std::int64_t size) {
  EndEntry();
  const std::uint64_t zip64_size = 4 + 16;
  const std::uint64_t unpadded = at_ + zip::kHeaderSize + name.size() + zip64_size + 4;
  const std::uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  const auto bytes = static_cast<std::uint64_t>(size);
  headers_.push_back(at_);
  Append(Record()
             .Add(zip::kHeaderSignature, 4)
             .Add(zip::kVersion, 2)
             .Add(kFlags, 2)
             .Add(0, 2)  // stored
             .Add(0, 2)
             .Add(kDate, 2)
             .Add(0, 4)  // the checksum follows the bytes
             .Add(zip::kIn64, 4)
             .Add(zip::kIn64, 4)
             .Add(name.size(), 2)
             .Add(zip64_size + 4 + padding, 2)
             .Add(name)
             .Add(zip::kZip64Field, 2)
             .Add(16, 2)
             .Add(bytes, 8)
             .Add(bytes, 8)
             .Add(kPaddingField, 2)
             .Add(padding, 2)
             .Add(std::string(padding, '\0'))
             .bytes());
  entries_.push_back({.name = name, .begin = static_cast<std::int64_t>(at_), .size = size});
  left_ = size;
}

void ZipWriter::Write(std::span<const std::byte> bytes) {
  COAT_REQUIRE(static_cast<std::int64_t>(bytes.size()) <= left_, "ZipWriter {}: {} bytes for an entry that has {} left",
               file_.path(), bytes.size(), left_);
  file_.Write(bytes);
  at_ += bytes.size();
  left_ -= static_cast<std::int64_t>(bytes.size());
  entries_.back().crc32 = Crc32(bytes, entries_.back().crc32);
}

void ZipWriter::Add(const std::string& name, std::string_view text) {
  Begin(name, static_cast<std::int64_t>(text.size()));
  Write(std::as_bytes(std::span(text)));
}

void ZipWriter::Finish() {
  EndEntry();
  const std::uint64_t begin = at_;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const ZipEntry& entry = entries_[i];
    Append(Record()
               .Add(zip::kEntrySignature, 4)
               .Add(zip::kVersion, 2)
               .Add(zip::kVersion, 2)
               .Add(kFlags, 2)
               .Add(0, 2)
               .Add(0, 2)
               .Add(kDate, 2)
               .Add(entry.crc32, 4)
               .Add(zip::kIn64, 4)
               .Add(zip::kIn64, 4)
               .Add(entry.name.size(), 2)
               .Add(4 + 24, 2)
               .Add(0, 2)  // comment
               .Add(0, 2)  // disk
               .Add(0, 2)
               .Add(0, 4)
               .Add(zip::kIn64, 4)
               .Add(entry.name)
               .Add(zip::kZip64Field, 2)
               .Add(24, 2)
               .Add(static_cast<std::uint64_t>(entry.size), 8)
               .Add(static_cast<std::uint64_t>(entry.size), 8)
               .Add(headers_[i], 8)
               .bytes());
  }
  const std::uint64_t end = at_;
  Append(Record()
             .Add(zip::kEnd64Signature, 4)
             .Add(zip::kEnd64Size - 12, 8)
             .Add(zip::kVersion, 2)
             .Add(zip::kVersion, 2)
             .Add(0, 4)
             .Add(0, 4)
             .Add(entries_.size(), 8)
             .Add(entries_.size(), 8)
             .Add(end - begin, 8)
             .Add(begin, 8)
             .Add(zip::kLocatorSignature, 4)
             .Add(0, 4)
             .Add(end, 8)
             .Add(1, 4)
             .Add(zip::kEndSignature, 4)
             .Add(0, 2)
             .Add(0, 2)
             .Add(0xffff, 2)
             .Add(0xffff, 2)
             .Add(zip::kIn64, 4)
             .Add(zip::kIn64, 4)
             .Add(0, 2)
             .bytes());
  file_.Finish();
}

void ZipWriter::Append(std::string_view record) {
  file_.Write(record);
  at_ += record.size();
}

void ZipWriter::EndEntry() {
  COAT_REQUIRE(left_ == 0, "ZipWriter {}: the last entry lacks {} bytes", file_.path(), left_);
  if (entries_.empty()) return;
  const ZipEntry& entry = entries_.back();
  Append(Record()
             .Add(zip::kDescriptorSignature, 4)
             .Add(entry.crc32, 4)
             .Add(static_cast<std::uint64_t>(entry.size), 8)
             .Add(static_cast<std::uint64_t>(entry.size), 8)
             .bytes());
}

}  // namespace coat
