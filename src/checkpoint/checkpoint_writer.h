#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/directory.h"
#include "checkpoint/part_plan.h"
#include "checkpoint/trainer_state.h"
#include "comm/agreement.h"
#include "comm/communicator.h"

namespace coat {

/// What to do with a checkpoint that has the name already (OLMo's save_overwrite).
enum class IfExists { kRefuse, kReplace };

/// The bytes of some elements of the tensor `index` of a list. They may change at the next call.
using BytesOfTensor = std::function<std::span<const std::byte>(std::size_t index, Part part)>;

/// Saves one checkpoint so that a kill, a full disk or a power failure at any instant leaves the save folder's earlier
/// checkpoints and its latest link as they were, or with this one whole.
///
/// The files are written and synced in a folder of another name (step10-tmp), which takes its own name in one step
/// after all of them are on the disk. A checkpoint that is replaced keeps its name until that step. (A file system that
/// cannot exchange two names, such as NFS, leaves an instant at which the replaced one bears another name;
/// PrepareSaveFolder gives its name back.) If the object goes away without Commit, its folder goes too. Every failure
/// is an IoError with the path and the system's reason.
///
/// Several ranks save one checkpoint together: all make the same calls in the same order, in a folder that they share.
/// Each writes what it has of the tensors; rank 0 does everything else. What fails on one rank is thrown on all of
/// them, at the latest by Commit, which gives no name before every rank's files are on the disk.
class CheckpointWriter {
 public:
  /// Starts the checkpoint {folder}/{name}. Throws IoError if that exists, is not an empty folder, and `if_exists`
  /// refuses it; and if the link to the latest checkpoint would replace something that is not a link. `ranks` must
  /// stay valid.
  CheckpointWriter(std::string folder, CheckpointName name, IfExists if_exists, Communicator& ranks);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Where the checkpoint will be.
  const std::string& path() const { return path_; }

  /// Adds a file of rank 0's making, such as a text.
  void AddFile(const std::string& name, std::string_view contents);

  /// Adds the tensors of which this rank has the given parts; `bytes` gives them. One rank writes the safetensors file
  /// `file` ("model.safetensors"). Several write a file each (model-00001-of-00004.safetensors) with an index
  /// (part_index.h); those of an unsharded checkpoint are then made the one file by rank 0. Ranks that have the same
  /// part, as all do without sharding, write a share of it each. No rank needs memory for more than a tensor's part.
  ///
  /// Throws ArgumentError unless the ranks list the same tensors and have every element of them.
  void AddTensors(const std::string& file, const std::vector<StatePart>& tensors, const BytesOfTensor& bytes);

  /// Adds rank 0's trainer state, with a record of every file, and its configuration; then gives the checkpoint its
  /// name and the latest link. To be called once, last. If it throws after the checkpoint has its name (the link could
  /// not be made, what it replaces could not be removed), the checkpoint is whole all the same.
  void Commit(TrainerState state, std::string_view config_yaml);

 private:
  void MakeTemporaryFolder() const;
  /// What rank 0 throws here, all throw when they meet.
  void OnRankZero(const std::function<void()>& work);
  FileRecord WriteOwn(const std::string& name, const PartPlan& plan, const BytesOfTensor& bytes) const;
  /// Every rank writes its own, if it has any; the records of all.
  std::vector<FileRecord> WriteParts(const std::string& file, const PartPlan& plan, const BytesOfTensor& bytes);
  void MergeParts(const std::string& file, PartIndex index, const std::vector<FileRecord>& records);
  void WriteFile(const std::string& name, std::string_view contents);
  std::string NewFilePath(const std::string& name) const;
  void CommitFiles(TrainerState state, std::string_view config_yaml);
  void TakeName();

  Communicator& ranks_;
  Agreement agreement_;
  std::string folder_;
  CheckpointName name_;
  IfExists if_exists_;
  std::string path_;
  std::string temporary_path_;
  std::vector<FileRecord> files_;
  bool has_name_ = false;
};

}  // namespace coat
