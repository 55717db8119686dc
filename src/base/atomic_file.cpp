#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/error.h"
#include "base/file_system.h"

namespace coat {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

/// A place for the name of a file that is being written. Places are linked, never freed, and taken again, because the
/// handler of signals may come at any time and may read nothing else.
struct Place {
  std::atomic<const char*> path;
  Place* next;
};
std::atomic<Place*> unfinished;

void Enlist(const char* path) {
  for (Place* place = unfinished; place != nullptr; place = place->next) {
    const char* free = nullptr;
    if (place->path.compare_exchange_strong(free, path)) return;
  }
  auto* const place = new Place{path, unfinished};
  while (!unfinished.compare_exchange_weak(place->next, place)) {
  }
}

void Strike(const char* path) {
  for (Place* place = unfinished; place != nullptr; place = place->next) {
    const char* own = path;
    if (place->path.compare_exchange_strong(own, nullptr)) return;
  }
}

extern "C" void RemoveAndEnd(int signal) {
  for (const Place* place = unfinished; place != nullptr; place = place->next) {
    if (const char* const path = place->path; path != nullptr) ::unlink(path);
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

/// Refuses a `path` that cannot be given to a new file; returns the name under which to write until it is complete.
std::string PartialPath(const std::string& path, bool overwrite) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      throw IoError(fmt::format("{}: is a folder; expected the name of a file to write", path));
    }
    if (!S_ISREG(status.st_mode)) {  // a rename would put a file in the place of a device or a pipe
      throw IoError(fmt::format("{}: is not a regular file; expected the name of a file to write", path));
    }
    if (!overwrite) {
      throw ExistsError(path);
    }
  }
  if (const std::string folder = ParentFolder(path); ::access(folder.c_str(), F_OK) != 0) {
    throw IoError(fmt::format("{}: cannot be written: the folder {} does not exist", path, folder));
  }
  return PartialName(path);
}

}  // namespace

AtomicFile::AtomicFile(std::string path, bool overwrite)
    : path_(std::move(path)), overwrite_(overwrite), file_(PartialPath(path_, overwrite), O_WRONLY | O_CREAT | O_EXCL) {
  Enlist(file_.path().c_str());
  buffer_.reserve(kBufferBytes);
}

AtomicFile::~AtomicFile() {
  if (!committed_) {
    ::unlink(file_.path().c_str());
  }
  Strike(file_.path().c_str());
}

void AtomicFile::Write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    Flush();
  }
  if (bytes.size() > kBufferBytes) {
    file_.Write(bytes);
    return;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void AtomicFile::Flush() {
  file_.Write(buffer_);
  buffer_.clear();
}

void AtomicFile::Truncate(std::int64_t size_bytes) {
  Flush();
  file_.Truncate(size_bytes);
}

void AtomicFile::Finish() {
  if (!file_.is_open()) return;
  Flush();
  buffer_ = std::vector<std::byte>();  // many files may wait for their Commit
  file_.Sync();
  file_.Close();
}

void AtomicFile::Commit() {
  Finish();
  if (overwrite_) {
    Rename(file_.path(), path_);
  } else {
    RenameToNewName(file_.path(), path_);
  }
  committed_ = true;
  SyncParentFolder(path_);
}

void RemoveUnfinishedFilesAtSignals() {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    struct sigaction old = {};
    ::sigaction(signal, nullptr, &old);
    if (old.sa_handler != SIG_IGN) ::signal(signal, RemoveAndEnd);  // nohup ignores SIGHUP
  }
}

}  // namespace coat
