#include "data/file_descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace coat {

namespace {

/// Calls a system function again as long as a signal interrupts it.
template <class Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

}  // namespace

std::string SystemReason(int error_number) {
  return std::generic_category().message(error_number);
}

std::string ParentFolder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

FileDescriptor::FileDescriptor(std::string path, int flags)
    : path_(std::move(path)),
      descriptor_(Uninterrupted([&] { return ::open(path_.c_str(), flags | O_CLOEXEC, 0666); })) {
  if (descriptor_ < 0) {
    const char* purpose = (flags & O_ACCMODE) == O_RDONLY ? "read" : "written";
    throw IoError(fmt::format("{}: cannot be {}: {}", path_, purpose, SystemReason(errno)));
  }
}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

std::int64_t FileDescriptor::Size() const {
  struct stat status = {};
  if (::fstat(descriptor_, &status) != 0) {
    throw IoError(fmt::format("{}: cannot be examined: {}", path_, SystemReason(errno)));
  }
  if (S_ISDIR(status.st_mode)) {
    throw IoError(fmt::format("{}: is a folder; expected a file", path_));
  }
  return S_ISREG(status.st_mode) ? static_cast<std::int64_t>(status.st_size) : 0;
}

std::size_t FileDescriptor::Read(std::span<std::byte> bytes) {
  const ssize_t count = Uninterrupted([&] { return ::read(descriptor_, bytes.data(), bytes.size()); });
  if (count < 0) {
    throw IoError(fmt::format("{}: cannot be read: {}", path_, SystemReason(errno)));
  }
  return static_cast<std::size_t>(count);
}

void FileDescriptor::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = Uninterrupted([&] { return ::write(descriptor_, bytes.data(), bytes.size()); });
    if (count < 0) {
      throw IoError(fmt::format("{}: cannot be written: {}", path_, SystemReason(errno)));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void FileDescriptor::Sync() {
  if (Uninterrupted([&] { return ::fsync(descriptor_); }) != 0) {
    throw IoError(fmt::format("{}: cannot be brought to the disk: {}", path_, SystemReason(errno)));
  }
}

void FileDescriptor::Close() {
  // After close(2) the descriptor is gone even when it reports an error, EINTR included, on Linux.
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) {
    throw IoError(fmt::format("{}: cannot be written: {}", path_, SystemReason(errno)));
  }
}

void SyncParentFolder(const std::string& path) {
  const int folder = ::open(ParentFolder(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) {
    return;
  }
  const int result = Uninterrupted([&] { return ::fsync(folder); });
  const int reason = errno;
  ::close(folder);
  if (result != 0 && reason != EINVAL) {
    throw IoError(fmt::format("{}: its name cannot be brought to the disk: {}", path, SystemReason(reason)));
  }
}

}  // namespace coat
