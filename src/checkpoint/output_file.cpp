#include "checkpoint/output_file.h"

#include <fcntl.h>

#include <utility>

#include "base/error.h"
#include "checkpoint/checksum.h"

namespace coat {

OutputFile::OutputFile(std::string path) : file_(std::move(path), O_WRONLY | O_CREAT | O_EXCL) {}

void OutputFile::Write(std::span<const std::byte> bytes) {
  COAT_REQUIRE(file_.is_open(), "OutputFile {}: written after Finish", path());
  file_.Write(bytes);
  crc32_ = Crc32(bytes, crc32_);
  size_bytes_ += bytes.size();
}

void OutputFile::Write(std::string_view text) {
  Write(std::as_bytes(std::span(text.data(), text.size())));
}

FileRecord OutputFile::Finish() {
  COAT_REQUIRE(file_.is_open(), "OutputFile {}: finished twice", path());
  file_.Sync();
  file_.Close();
  return {.name = path().substr(path().rfind('/') + 1), .size_bytes = size_bytes_, .crc32 = crc32_};
}

}  // namespace coat
