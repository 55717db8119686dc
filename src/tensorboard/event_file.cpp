#include "tensorboard/event_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "tensorboard/event.pb.h"
#include "tensorboard/record.h"

namespace coat {

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> EventFilesIn(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with(kEventFilePrefix)) files.push_back(entry->path());
  }
  if (error) throw IoError(fmt::format("{}: cannot be read: {}", folder, error.message()));
  return files;
}

/// The seconds in a file's name; 0 if there are none.
std::int64_t SecondsOf(const fs::path& file) {
  const std::string name = file.filename().string();
  std::int64_t seconds = 0;
  std::from_chars(name.data() + kEventFilePrefix.size(), name.data() + name.size(), seconds);
  return seconds;
}

void Remove(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    std::error_code error;
    fs::remove(file, error);
    if (error) throw IoError(fmt::format("{}: cannot be removed: {}", file.string(), error.message()));
  }
}

FileDescriptor Open(const std::string& folder, std::int64_t steps_done, bool overwrite, double wall_time) {
  MakeFolders(folder);
  const std::vector<fs::path> present = EventFilesIn(folder);
  auto seconds = static_cast<std::int64_t>(wall_time);
  for (const fs::path& file : present) seconds = std::max(seconds, SecondsOf(file) + 1);
  if (steps_done == 0 && !present.empty()) {
    if (!overwrite) {
      throw IoError(
          fmt::format("{}: exists already, from an earlier run; nothing was overwritten (save_overwrite removes it)",
                      present.front().string()));
    }
    Remove(present);
  }
  const std::string path = fmt::format("{}/{}{:010}.coat", folder, kEventFilePrefix, seconds);
  return {path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND};
}

std::string RecordOf(const tensorboard::Event& event) {
  return TfRecord(event.SerializeAsString());
}

}  // namespace

EventFile::EventFile(const std::string& folder, std::int64_t steps_done, bool overwrite, double wall_time)
    : file_(Open(folder, steps_done, overwrite, wall_time)) {
  tensorboard::Event version;
  version.set_wall_time(wall_time);
  version.set_file_version("brain.Event:2");
  std::string records = RecordOf(version);
  if (steps_done > 0) {
    tensorboard::Event start;
    start.set_wall_time(wall_time);
    start.set_step(steps_done + 1);
    start.mutable_session_log()->set_status(tensorboard::SessionLog::START);
    records += RecordOf(start);
  }
  file_.Write(std::as_bytes(std::span(records)));
  SyncParentFolder(file_.path());
}

void EventFile::Write(std::int64_t step, double wall_time, std::span<const std::pair<std::string, double>> scalars) {
  tensorboard::Event event;
  event.set_wall_time(wall_time);
  event.set_step(step);
  for (const auto& [name, number] : scalars) {
    tensorboard::Summary::Value* const value = event.mutable_summary()->add_value();
    value->set_tag(name);
    value->set_simple_value(static_cast<float>(number));
  }
  const std::string record = RecordOf(event);
  file_.Write(std::as_bytes(std::span(record)));
}

void EventFile::Flush() {
  file_.Sync();
}

}  // namespace coat
