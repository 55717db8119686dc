#include "checkpoint/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "checkpoint/checksum.h"
#include "checkpoint/file_system.h"

namespace coat {

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw SystemError("make the file", path_, errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(other.size_bytes_),
      crc32_(other.crc32_) {}

void OutputFile::Write(std::span<const std::byte> bytes) {
  COAT_REQUIRE(descriptor_ >= 0, "OutputFile {}: written after Finish", path_);
  constexpr std::size_t kPieceBytes = std::size_t{64} << 20;  // Linux writes at most 2 GiB a call
  while (!bytes.empty()) {
    const ::ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kPieceBytes));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw SystemError(fmt::format("write at byte {} of", size_bytes_), path_, errno);
    }
    const auto piece = bytes.first(static_cast<std::size_t>(written));
    crc32_ = Crc32(piece, crc32_);
    size_bytes_ += piece.size();
    bytes = bytes.subspan(piece.size());
  }
}

void OutputFile::Write(std::string_view text) {
  Write(std::as_bytes(std::span(text.data(), text.size())));
}

FileRecord OutputFile::Finish() {
  COAT_REQUIRE(descriptor_ >= 0, "OutputFile {}: finished twice", path_);
  if (::fsync(descriptor_) != 0) throw SystemError("sync", path_, errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) throw SystemError("close", path_, errno);
  return {.name = path_.substr(path_.rfind('/') + 1), .size_bytes = size_bytes_, .crc32 = crc32_};
}

}  // namespace coat
