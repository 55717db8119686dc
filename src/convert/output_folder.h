#pragma once

#include <string>
#include <string_view>

#include "checkpoint/checkpoint_writer.h"

namespace coat {

/// A folder that appears under its name only when it is complete: its files are written in a new one of another name
/// (`path`, ".partial-" and a random number), which takes its own in one step. Without Commit it goes away again; only
/// a killed process leaves it behind.
class OutputFolder {
 public:
  /// Throws IoError if `path` exists and `if_exists` refuses it, or it is no folder with a model: only what a
  /// conversion could have written (a checkpoint, a Hugging Face directory, an unsharded checkpoint of OLMo, an empty
  /// folder) is ever replaced.
  OutputFolder(std::string path, IfExists if_exists);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Where the folder will be.
  const std::string& path() const { return path_; }
  /// Where to write the file `name` until Commit.
  std::string FilePath(const std::string& name) const;
  /// Writes a whole file.
  FileRecord WriteText(const std::string& name, std::string_view text) const;

  /// Gives the folder its name, and removes what had it. Throws as the constructor if something came there meanwhile.
  /// To be called once, when all files are on the disk.
  void Commit();

 private:
  std::string path_;
  IfExists if_exists_;
  std::string temporary_path_;
  bool has_name_ = false;
};

}  // namespace coat
