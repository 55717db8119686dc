#pragma once
// Zip archives whose entries are stored, not compressed, as PyTorch writes them: the entries are read where they lie.
// Format: PKWARE's APPNOTE, with its zip64 extension.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"

namespace coat {

/// One file of an archive.
struct ZipEntry {
  std::string name;
  std::int64_t begin = 0;  // of its bytes in the archive
  std::int64_t size = 0;
  std::uint32_t crc32 = 0;  // of its bytes; 0: not recorded
};

/// An archive mapped for reading. Its directory is checked before a byte is handed out: entries lie inside the file,
/// before the directory, and do not overlap; their names differ. Every fault is an IoError that names the file and what
/// is wrong. Move-only.
class ZipReader {
 public:
  explicit ZipReader(const std::string& path);

  const std::string& path() const { return file_.path(); }
  /// In the order of their bytes.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  /// Null if there is none of the name.
  const ZipEntry* Find(std::string_view name) const;

  /// The entry's bytes, compared with their checksum the first time. Valid while the reader lives. Throws IoError if
  /// they are damaged, and when the file has become shorter meanwhile.
  std::span<const std::byte> Bytes(const ZipEntry& entry) const;

 private:
  struct Directory;
  Directory FindDirectory() const;
  void ReadDirectory(const Directory& directory);
  void FindBytes(ZipEntry& entry, std::uint64_t header, std::uint64_t end) const;
  void CheckOverlaps() const;
  [[noreturn]] void Fail(const std::string& what) const;

  MappedFile file_;
  std::vector<ZipEntry> entries_;
  std::map<std::string, std::size_t, std::less<>> index_;  // name to place in entries_
  mutable std::vector<bool> compared_;                     // entries whose checksum is right
};

}  // namespace coat
