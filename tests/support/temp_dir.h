#pragma once
// A folder for the files of one test, removed with everything in it at the end of the test.

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace coat {

/// A fresh folder below the system's folder for temporary files. Owns the folder and what is in it; not copyable.
class TempDir {
 public:
  TempDir() : path_((std::filesystem::temp_directory_path() / "coat-test-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw std::runtime_error("mkdtemp failed for " + path_);
    }
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }

  /// The path of `name` inside the folder. Creates nothing.
  std::string File(std::string_view name) const { return path_ + "/" + std::string(name); }

  /// Writes a file inside the folder, with the folders above it, and returns its path.
  std::string Write(std::string_view name, std::string_view bytes) const {
    const std::string path = File(name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream stream(path, std::ios::binary | std::ios::trunc);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    if (!stream) {
      throw std::runtime_error("cannot write " + path);
    }
    return path;
  }

  /// The bytes of a file, by its full path or by its name inside the folder.
  std::string Read(std::string_view name) const {
    const std::string path = name.substr(0, 1) == "/" ? std::string(name) : File(name);
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
      throw std::runtime_error("cannot read " + path);
    }
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  }

 private:
  std::string path_;
};

/// The names of what lies in a folder.
inline std::set<std::string> NamesIn(const std::string& folder) {
  std::set<std::string> names;
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(folder)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

}  // namespace coat
