#include "base/file_descriptor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/system_call.h"

namespace coat {

FileDescriptor::FileDescriptor(std::string path, int flags)
    : path_(std::move(path)),
      descriptor_(Uninterrupted([&] { return ::open(path_.c_str(), flags | O_CLOEXEC, 0666); })) {
  if (descriptor_ < 0) {
    throw SystemError(path_, (flags & O_ACCMODE) == O_RDONLY ? "read" : "written", errno);
  }
}

FileDescriptor::~FileDescriptor() {
  if (is_open()) {
    ::close(descriptor_);
  }
}

std::int64_t FileDescriptor::Size() const {
  struct stat status = {};
  if (::fstat(descriptor_, &status) != 0) {
    throw SystemError(path_, "examined", errno);
  }
  if (S_ISDIR(status.st_mode)) {
    throw IoError(fmt::format("{}: is a folder; expected a file", path_));
  }
  return S_ISREG(status.st_mode) ? static_cast<std::int64_t>(status.st_size) : 0;
}

std::size_t FileDescriptor::Read(std::span<std::byte> bytes) {
  const ssize_t count = Uninterrupted([&] { return ::read(descriptor_, bytes.data(), bytes.size()); });
  if (count < 0) {
    throw SystemError(path_, "read", errno);
  }
  return static_cast<std::size_t>(count);
}

void FileDescriptor::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = Uninterrupted([&] { return ::write(descriptor_, bytes.data(), bytes.size()); });
    if (count < 0) {
      const int error_number = errno;
      throw SystemError(path_, "written" + PlaceOfWrite(), error_number);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

std::string FileDescriptor::PlaceOfWrite() const {
  const bool appends = (::fcntl(descriptor_, F_GETFL) & O_APPEND) != 0;
  const off_t place = ::lseek(descriptor_, 0, appends ? SEEK_END : SEEK_CUR);
  return place < 0 ? "" : fmt::format(" at byte {}", place);
}

void FileDescriptor::Truncate(std::int64_t size_bytes) {
  if (Uninterrupted([&] { return ::ftruncate(descriptor_, static_cast<off_t>(size_bytes)); }) != 0) {
    throw SystemError(path_, fmt::format("shortened to {} bytes", size_bytes), errno);
  }
}

void FileDescriptor::Sync() {
  if (Uninterrupted([&] { return ::fsync(descriptor_); }) != 0) {
    throw SystemError(path_, "brought to the disk", errno);
  }
}

void FileDescriptor::Close() {
  // After close(2) the descriptor is gone even when it reports an error, EINTR included, on Linux.
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) {
    throw SystemError(path_, "written", errno);
  }
}

}  // namespace coat
