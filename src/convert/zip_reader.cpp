#include "convert/zip_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "checkpoint/checksum.h"
#include "checkpoint/quoted.h"
#include "convert/zip_format.h"

namespace coat {

namespace {

/// Little-endian numbers of a record that was found to be long enough.
class Record {
 public:
  explicit Record(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t At(std::size_t offset, std::size_t size) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(bytes_[offset + i])} << (8 * i);
    }
    return value;
  }
  bool Is(std::uint32_t signature) const { return At(0, 4) == signature; }
  std::string_view Text(std::size_t offset, std::size_t size) const { return bytes_.substr(offset, size); }

 private:
  std::string_view bytes_;
};

/// Replaces sizes and offset that did not fit into the entry by those of its zip64 field. False if it lacks them.
bool ReadZip64(std::string_view extra, std::initializer_list<std::uint64_t*> values) {
  while (extra.size() >= 4) {
    const Record field(extra);
    const auto size = static_cast<std::size_t>(field.At(2, 2));
    if (size > extra.size() - 4) return false;
    std::string_view body = extra.substr(4, size);
    extra.remove_prefix(4 + size);
    if (field.At(0, 2) != zip::kZip64Field) continue;
    for (std::uint64_t* const value : values) {
      if (*value != zip::kIn64) continue;
      if (body.size() < 8) return false;
      *value = Record(body).At(0, 8);
      body.remove_prefix(8);
    }
  }
  return std::ranges::none_of(values, [](const std::uint64_t* value) { return *value == zip::kIn64; });
}

}  // namespace

/// Where the list of entries lies.
struct ZipReader::Directory {
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
  std::uint64_t entries = 0;
};

ZipReader::ZipReader(const std::string& path) : file_(path, ReadOrder::kScattered) {
  ReadDirectory(FindDirectory());
  CheckOverlaps();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!index_.emplace(entries_[i].name, i).second) Fail(fmt::format("the entry {} twice", Quoted(entries_[i].name)));
  }
  compared_.resize(entries_.size());
}

const ZipEntry* ZipReader::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

std::span<const std::byte> ZipReader::Bytes(const ZipEntry& entry) const {
  const std::span<const std::byte> bytes = file_.Range(entry.begin, entry.size);
  const std::size_t place = index_.find(entry.name)->second;
  if (entry.crc32 != 0 && !compared_[place]) {
    if (const std::uint32_t found = Crc32(bytes); found != entry.crc32) {
      Fail(fmt::format("the entry {} is damaged: its bytes have the checksum {:08x}; expected {:08x}",
                       Quoted(entry.name), found, entry.crc32));
    }
    compared_[place] = true;
  }
  return bytes;
}

ZipReader::Directory ZipReader::FindDirectory() const {
  const std::string_view text = file_.text();
  constexpr std::size_t kMostComment = 0xffff;
  const std::size_t least = text.size() < zip::kEndSize + kMostComment ? 0 : text.size() - zip::kEndSize - kMostComment;
  std::size_t end = text.size() < zip::kEndSize ? 0 : text.size() - zip::kEndSize + 1;
  const auto is_end = [&](std::size_t at) {
    const Record record(text.substr(at));
    return record.Is(zip::kEndSignature) && record.At(20, 2) == text.size() - at - zip::kEndSize;
  };
  do {
    if (end == least) Fail("no zip archive, or the end of one is missing");
    --end;
  } while (!is_end(end));
  const Record record(text.substr(end));
  Directory directory = {.begin = record.At(16, 4), .size = record.At(12, 4), .entries = record.At(10, 2)};
  std::uint64_t limit = end;
  if (end >= zip::kLocatorSize && Record(text.substr(end - zip::kLocatorSize)).Is(zip::kLocatorSignature)) {
    const std::uint64_t at = Record(text.substr(end - zip::kLocatorSize)).At(8, 8);
    if (at > end - zip::kLocatorSize || end - zip::kLocatorSize - at < zip::kEnd64Size) {
      Fail("its zip64 record lies outside the file");
    }
    const Record long_record(text.substr(at));
    if (!long_record.Is(zip::kEnd64Signature)) Fail("its zip64 record is not where it should be");
    directory = {.begin = long_record.At(48, 8), .size = long_record.At(40, 8), .entries = long_record.At(32, 8)};
    limit = at;
  }
  if (directory.begin > limit || directory.size > limit - directory.begin) {
    Fail(fmt::format("its directory of {} bytes at {} lies outside the file", directory.size, directory.begin));
  }
  return directory;
}

void ZipReader::ReadDirectory(const Directory& directory) {
  std::string_view rest = file_.text().substr(directory.begin, directory.size);
  if (directory.entries > rest.size() / zip::kEntrySize) {
    Fail(fmt::format("{} entries in a directory of {} bytes", directory.entries, rest.size()));
  }
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    const Record record(rest);
    if (rest.size() < zip::kEntrySize || !record.Is(zip::kEntrySignature)) {
      Fail(fmt::format("entry {} of its directory is damaged", i));
    }
    const auto name_size = static_cast<std::size_t>(record.At(28, 2));
    const auto extra_size = static_cast<std::size_t>(record.At(30, 2));
    const std::size_t size = zip::kEntrySize + name_size + extra_size + static_cast<std::size_t>(record.At(32, 2));
    if (size > rest.size()) Fail(fmt::format("entry {} of its directory is cut off", i));
    ZipEntry entry = {.name = std::string(record.Text(zip::kEntrySize, name_size)),
                      .crc32 = static_cast<std::uint32_t>(record.At(16, 4))};
    if (record.At(10, 2) != 0 || (record.At(8, 2) & zip::kEncryptedFlag) != 0) {
      Fail(fmt::format("the entry {} is {}; accepted: plain stored bytes, as torch.save writes them",
                       Quoted(entry.name), record.At(10, 2) != 0 ? "compressed" : "encrypted"));
    }
    std::uint64_t stored = record.At(20, 4);
    std::uint64_t plain = record.At(24, 4);
    std::uint64_t header = record.At(42, 4);
    if ((stored == zip::kIn64 || plain == zip::kIn64 || header == zip::kIn64) &&
        !ReadZip64(record.Text(zip::kEntrySize + name_size, extra_size), {&plain, &stored, &header})) {
      Fail(fmt::format("the entry {} lacks its zip64 sizes", Quoted(entry.name)));
    }
    if (stored != plain || plain > static_cast<std::uint64_t>(file_.size())) {
      Fail(fmt::format("the entry {} has {} bytes, stored as {}, in a file of {}", Quoted(entry.name), plain, stored,
                       file_.size()));
    }
    entry.size = static_cast<std::int64_t>(plain);
    FindBytes(entry, header, directory.begin);
    entries_.push_back(std::move(entry));
    rest.remove_prefix(size);
  }
  if (!rest.empty()) Fail(fmt::format("{} bytes after the last entry of its directory", rest.size()));
}

/// Finds the entry's bytes behind the header at `header`; entries end before `end`.
void ZipReader::FindBytes(ZipEntry& entry, std::uint64_t header, std::uint64_t end) const {
  if (header > end || end - header < zip::kHeaderSize) {
    Fail(fmt::format("the entry {} begins at {}, beyond the last one's end at {}", Quoted(entry.name), header, end));
  }
  const Record record(file_.text().substr(header));
  if (!record.Is(zip::kHeaderSignature)) Fail(fmt::format("the entry {} has no header", Quoted(entry.name)));
  const std::uint64_t name_size = record.At(26, 2);
  const std::uint64_t begin = header + zip::kHeaderSize + name_size + record.At(28, 2);
  if (begin > end || static_cast<std::uint64_t>(entry.size) > end - begin) {
    Fail(fmt::format("the entry {} of {} bytes at {} goes beyond the last one's end at {}", Quoted(entry.name),
                     entry.size, begin, end));
  }
  if (record.Text(zip::kHeaderSize, name_size) != entry.name) {
    Fail(fmt::format("the entry {} has another name in its header", Quoted(entry.name)));
  }
  entry.begin = static_cast<std::int64_t>(begin);
}

/// Entries must come in the order of their bytes, as every writer leaves them.
void ZipReader::CheckOverlaps() const {
  std::int64_t end = 0;
  for (const ZipEntry& entry : entries_) {
    if (entry.begin < end) Fail(fmt::format("the entry {} overlaps the one before it", Quoted(entry.name)));
    end = entry.begin + entry.size;
  }
}

void ZipReader::Fail(const std::string& what) const {
  throw IoError(fmt::format("{}: {}", path(), what));
}

}  // namespace coat
