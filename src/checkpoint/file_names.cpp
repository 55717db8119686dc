#include "checkpoint/file_names.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "base/error.h"
#include "base/file_system.h"
#include "base/system_call.h"

namespace coat {

PathKind KindOf(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return PathKind::kMissing;
    throw SystemError(path, "examined", errno);
  }
  if (S_ISREG(status.st_mode)) return PathKind::kFile;
  if (S_ISDIR(status.st_mode)) return PathKind::kFolder;
  if (S_ISLNK(status.st_mode)) return PathKind::kLink;
  return PathKind::kOther;
}

std::vector<std::string> ListFolder(const std::string& path) {
  struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
  };
  const std::unique_ptr<DIR, Close> folder(::opendir(path.c_str()));
  if (folder == nullptr) throw SystemError(path, "listed", errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) throw SystemError(path, "listed", errno);
  std::sort(names.begin(), names.end());
  return names;
}

void MakeFolder(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) != 0) throw SystemError(path, "made a folder", errno);
}

bool ExchangeNames(const std::string& a, const std::string& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS) return false;
  throw SystemError(a, fmt::format("exchanged with {}", b), errno);
}

void TakeFolderName(const std::string& from, const std::string& to, const std::string& aside) {
  if (KindOf(to) != PathKind::kFolder) {
    Rename(from, to);
    return;
  }
  if (ExchangeNames(from, to)) return;
  RemoveTree(aside);
  Rename(to, aside);
  try {
    SyncParentFolder(to);
    Rename(from, to);
  } catch (const IoError&) {
    Rename(aside, to);
    throw;
  }
}

void RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw SystemError(path, "removed", error.value());
}

void ReplaceLink(const std::string& target, const std::string& link) {
  const std::string temporary = link + "-tmp";
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) throw SystemError(temporary, "removed", errno);
  if (::symlink(target.c_str(), temporary.c_str()) != 0) throw SystemError(temporary, "made a link", errno);
  Rename(temporary, link);
}

}  // namespace coat
