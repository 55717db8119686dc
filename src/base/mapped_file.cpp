#include "base/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/system_call.h"

namespace coat {

MappedFile::MappedFile(std::string path, ReadOrder order) : path_(std::move(path)) {
  // O_NONBLOCK: without it, to open a named pipe would wait for a writer that may never come.
  const FileDescriptor file(path_, O_RDONLY | O_NONBLOCK);
  size_ = file.Size();
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw IoError(fmt::format("{}: is not a regular file; only those can be mapped into memory", path_));
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
  if (size_ == 0) {
    return;
  }
  void* address = ::mmap(nullptr, static_cast<std::size_t>(size_), PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) {
    throw SystemError(path_, fmt::format("mapped into memory, all {} bytes", size_), errno);
  }
  if (order == ReadOrder::kScattered) {  // advice only, so a refusal does not matter
    ::madvise(address, static_cast<std::size_t>(size_), MADV_RANDOM);
  }
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      device_(other.device_),
      inode_(other.inode_) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(const_cast<std::byte*>(data_), static_cast<std::size_t>(size_));
  }
}

std::span<const std::byte> MappedFile::Range(std::int64_t offset, std::int64_t count) const {
  COAT_REQUIRE(offset >= 0 && count >= 0 && count <= size_ && offset <= size_ - count,
               "{}: bytes [{}, {} + {}) were asked for; it has {}", path_, offset, offset, count, size_);
  struct stat status = {};
  if (::stat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_ &&
      status.st_size < size_) {
    throw IoError(fmt::format("{}: has become shorter while in use: {} bytes, {} when it was opened", path_,
                              static_cast<std::int64_t>(status.st_size), size_));
  }
  if (count > 0) {
    const std::int64_t page = ::sysconf(_SC_PAGESIZE);
    const std::int64_t first = offset / page * page;
    ::madvise(const_cast<std::byte*>(data_ + first), static_cast<std::size_t>(offset + count - first), MADV_WILLNEED);
  }
  return bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(count));
}

}  // namespace coat
