#include "base/system_memory.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace coat {

namespace {

namespace fs = std::filesystem;

using Bytes = std::optional<std::int64_t>;

Bytes Smaller(Bytes a, Bytes b) {
  return a && b ? std::min(*a, *b) : a ? a : b;
}

/// The number of `key` in lines of "key: 123 kB".
Bytes FieldOf(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t kibibytes = 0;
    if (words >> name >> kibibytes && name == key + ":") return kibibytes * 1024;
  }
  return std::nullopt;
}

/// A file that holds a number; nothing for "max" and for a file that is not there.
Bytes NumberIn(const fs::path& file) {
  std::ifstream in(file);
  std::int64_t number = 0;
  return in >> number ? Bytes(number) : std::nullopt;
}

/// The least limit that `file` gives in the folder `group` below `mount` or in one around it.
Bytes LeastLimit(const fs::path& mount, const fs::path& group, const char* file) {
  Bytes least = NumberIn(mount / file);
  fs::path folder = mount;
  for (const fs::path& part : group.relative_path()) least = Smaller(least, NumberIn((folder /= part) / file));
  return least;
}

/// The limit of the control groups of this process, of either version.
Bytes GroupLimit(const fs::path& root) {
  Bytes least;
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::size_t controllers = line.find(':') + 1;
    const std::size_t path = line.find(':', controllers) + 1;
    if (controllers == 0 || path == 0) continue;
    const std::string names = fmt::format(",{},", line.substr(controllers, path - 1 - controllers));
    const fs::path group = line.substr(path);
    const fs::path mount = root / "sys/fs/cgroup";
    if (names == ",,") least = Smaller(least, LeastLimit(mount, group, "memory.max"));
    if (names.find(",memory,") != std::string::npos) {
      least = Smaller(least, LeastLimit(mount / "memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace

std::optional<std::int64_t> AvailableMemory(const std::string& root) {
  const fs::path meminfo = fs::path(root) / "proc/meminfo";
  Bytes available = FieldOf(meminfo, "MemAvailable");
  if (available) *available += FieldOf(meminfo, "SwapFree").value_or(0);
  return Smaller(available, GroupLimit(root));
}

}  // namespace coat
