#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/directory.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/trainer_state.h"

namespace coat {

/// What to do with a checkpoint that has the name already (OLMo's save_overwrite).
enum class IfExists { kRefuse, kReplace };

/// Saves one checkpoint so that a kill, a full disk or a power failure at any instant leaves the save folder's earlier
/// checkpoints and its latest link as they were, or with this one whole.
///
/// The files are written and synced in a folder of another name (step10-tmp), which takes its own name in one step
/// after all of them are on the disk. A checkpoint that is replaced keeps its name until that step. (A file system that
/// cannot exchange two names, such as NFS, leaves an instant at which the replaced one bears another name;
/// PrepareSaveFolder gives its name back.) If the object goes away without Commit, its folder goes too. Every failure
/// is an IoError with the path and the system's reason.
class CheckpointWriter {
 public:
  /// Starts the checkpoint {folder}/{name}. Throws IoError if that exists, is not an empty folder, and `if_exists`
  /// refuses it; and if the link to the latest checkpoint would replace something that is not a link.
  CheckpointWriter(std::string folder, CheckpointName name, IfExists if_exists);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Where the checkpoint will be.
  const std::string& path() const { return path_; }

  /// Adds a file of its own making, such as a text.
  void AddFile(const std::string& name, std::string_view contents);

  /// Adds a safetensors file; `fill` writes every tensor of the writer's tensors() in that order.
  void AddSafetensors(const std::string& name, std::vector<TensorInfo> tensors,
                      const std::map<std::string, std::string>& metadata,
                      const std::function<void(SafetensorsWriter&)>& fill);

  /// Adds the trainer state, with a record of every file, and the configuration; then gives the checkpoint its name and
  /// the latest link. To be called once, last. If it throws after the checkpoint has its name (the link could not be
  /// made, what it replaces could not be removed), the checkpoint is whole all the same.
  void Commit(TrainerState state, std::string_view config_yaml);

 private:
  std::string NewFilePath(const std::string& name) const;
  void TakeName();

  std::string folder_;
  CheckpointName name_;
  IfExists if_exists_;
  std::string path_;
  std::string temporary_path_;
  std::vector<FileRecord> files_;
  bool has_name_ = false;
};

}  // namespace coat
