#pragma once
// Where a value of the configuration came from, so that an error found late still names file and line.

#include <map>
#include <string>
#include <string_view>

namespace coat {

/// A line of a file, or a key of a file that is no configuration of ours, or the command line (no file).
struct Origin {
  std::string file;
  int line = 0;
  std::string key = "";  // what it is called there; then there is no line

  bool OnCommandLine() const { return file.empty(); }
};

/// "configs/x.yaml:14: model.n_heads", "config.json: num_attention_heads" or "on the command line: --model.n_heads".
std::string Where(const Origin& origin, std::string_view key_path);

/// Key path ("evaluators[0].data.paths") to origin, for every key that the file or the command line sets.
class Sources {
 public:
  void SetFile(std::string file) { file_ = std::move(file); }
  void Set(const std::string& key_path, Origin origin) { origins_[key_path] = std::move(origin); }
  bool IsSet(std::string_view key_path) const { return origins_.find(key_path) != origins_.end(); }
  bool IsOnCommandLine(std::string_view key_path) const {
    const auto found = origins_.find(key_path);
    return found != origins_.end() && found->second.OnCommandLine();
  }

  /// The start of an error message about a key: as above or, for a key that is nowhere set,
  /// "configs/x.yaml: model.rope (not set)".
  std::string Where(std::string_view key_path) const;

 private:
  std::string file_;
  std::map<std::string, Origin, std::less<>> origins_;
};

}  // namespace coat
