#include "base/file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <system_error>

#include "base/system_call.h"

namespace coat {

std::string ParentFolder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

void MakeFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    throw SystemError(path, "made a folder", error.value());
  }
}

void Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    throw SystemError(from, fmt::format("renamed to {}", to), errno);
  }
}

void RenameToNewName(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    return;
  }
  const bool is_unknown = errno == EINVAL || errno == ENOSYS;
  if (errno == EEXIST || (is_unknown && ::access(to.c_str(), F_OK) == 0)) {
    throw ExistsError(to);
  }
  if (!is_unknown) {
    throw SystemError(from, fmt::format("renamed to {}", to), errno);
  }
  Rename(from, to);
}

IoError ExistsError(const std::string& path) {
  return IoError(fmt::format("{}: exists already; nothing was overwritten", path));
}

std::string PartialName(const std::string& path) {
  return fmt::format("{}.partial-{:08x}", path, std::random_device()());
}

void SyncFolder(const std::string& path) {
  const int descriptor = Uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) {
    if (errno == EACCES) {
      return;
    }
    throw SystemError(path, "opened", errno);
  }
  // EINVAL: this file system has no such call for folders (some network file systems), so there is nothing to wait for.
  const bool has_failed = Uninterrupted([&] { return ::fsync(descriptor); }) != 0 && errno != EINVAL;
  const int error_number = errno;
  ::close(descriptor);
  if (has_failed) {
    throw SystemError(path, "brought to the disk", error_number);
  }
}

void SyncParentFolder(const std::string& path) {
  SyncFolder(ParentFolder(path));
}

FolderLock::FolderLock(const std::string& path) : path_(path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0) identity_ = Identity{status.st_dev, status.st_ino};
  try {
    folder_.emplace(path, O_RDONLY | O_DIRECTORY);
  } catch (const IoError&) {
    return;
  }
  const int result = Uninterrupted([&] { return ::flock(folder_->get(), LOCK_EX | LOCK_NB); });
  is_taken_ = result != 0 && errno == EWOULDBLOCK;
}

bool FolderLock::IsLost() const {
  struct stat status = {};
  if (!identity_) return false;
  if (::stat(path_.c_str(), &status) == 0) return Identity{status.st_dev, status.st_ino} != *identity_;
  // ESTALE: of a network file system, whose folder another machine has removed. Other failures may pass.
  return errno == ENOENT || errno == ENOTDIR || errno == ESTALE;
}

}  // namespace coat
