#include "checkpoint/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "checkpoint/file_system.h"

namespace coat {

MappedFile::MappedFile(std::string path) : path_(std::move(path)) {
  struct Descriptor {
    int number;
    ~Descriptor() {
      if (number >= 0) ::close(number);
    }
  };
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const Descriptor descriptor{::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (descriptor.number < 0) throw SystemError("open", path_, errno);
  struct stat status;
  if (::fstat(descriptor.number, &status) != 0) throw SystemError("look at", path_, errno);
  if (!S_ISREG(status.st_mode)) throw IoError(fmt::format("cannot read {}: it is not a file", path_));
  const auto size_bytes = static_cast<std::size_t>(status.st_size);
  if (size_bytes == 0) return;  // an empty mapping is an error to the system
  void* const address = ::mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, descriptor.number, 0);
  if (address == MAP_FAILED) throw SystemError(fmt::format("map {} bytes of", size_bytes), path_, errno);
  bytes_ = {static_cast<const std::byte*>(address), size_bytes};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace coat
