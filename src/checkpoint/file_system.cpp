#include "checkpoint/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

namespace coat {

IoError SystemError(std::string_view action, const std::string& path, int error_number) {
  return IoError(fmt::format("cannot {} {}: {}", action, path, std::generic_category().message(error_number)));
}

PathKind KindOf(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return PathKind::kMissing;
    throw SystemError("look at", path, errno);
  }
  if (S_ISREG(status.st_mode)) return PathKind::kFile;
  if (S_ISDIR(status.st_mode)) return PathKind::kDirectory;
  if (S_ISLNK(status.st_mode)) return PathKind::kLink;
  return PathKind::kOther;
}

std::vector<std::string> ListDirectory(const std::string& path) {
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, Close> directory(::opendir(path.c_str()));
  if (directory == nullptr) throw SystemError("list", path, errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) throw SystemError("list", path, errno);
  std::sort(names.begin(), names.end());
  return names;
}

void MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) != 0) throw SystemError("make the folder", path, errno);
}

void MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw SystemError("make the folder", path, error.value());
}

void SyncDirectory(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw SystemError("open the folder", path, errno);
  // EINVAL: this file system has no such call for folders (some network file systems), so there is nothing to wait for.
  const int error_number = ::fsync(descriptor) != 0 && errno != EINVAL ? errno : 0;
  ::close(descriptor);
  if (error_number != 0) throw SystemError("sync the folder", path, error_number);
}

void Rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    throw SystemError(fmt::format("rename {} to", from), to, errno);
  }
}

bool ExchangeNames(const std::string& a, const std::string& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS) return false;
  throw SystemError(fmt::format("exchange {} with", a), b, errno);
}

void RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw SystemError("remove", path, error.value());
}

void ReplaceLink(const std::string& target, const std::string& link) {
  const std::string temporary = link + "-tmp";
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) throw SystemError("remove", temporary, errno);
  if (::symlink(target.c_str(), temporary.c_str()) != 0) throw SystemError("make the link", temporary, errno);
  Rename(temporary, link);
}

}  // namespace coat
