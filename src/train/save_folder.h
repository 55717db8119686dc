#pragma once

#include <optional>
#include <string>

#include "base/file_system.h"
#include "checkpoint/trainer_state.h"
#include "comm/communicator.h"
#include "config/config.h"
#include "engine/engine.h"
#include "output/console.h"

namespace coat {

/// Why a checkpoint is saved: it decides its name and how long it is kept.
enum class SaveKind { kSharded, kUnsharded, kEphemeral };

/// The step of the last checkpoint that the run has saved in its folder, by the state's lists; -1 if there is none.
std::int64_t LastSaved(const TrainerState& state);

/// The folder of a run: its configuration and its checkpoints. The ranks share it: rank 0 writes, and finds out for
/// all.
class SaveFolder {
 public:
  /// Makes the folder, holds it against other runs as long as this lives, clears away what a killed run left, and
  /// finds the checkpoint to start from. A dry run touches nothing, unless it has force_save_unsharded. `ranks` must
  /// stay valid.
  ///
  /// Throws IoError when the folder cannot be written; ConfigError when another run is going on in it, when it holds a
  /// run, this one does not resume it and save_overwrite is off, and when a rank does not see what rank 0 has made.
  SaveFolder(const TrainConfig& config, Console& console, Communicator& ranks);
  /// Removes the folder if it was made here and nothing is in it: the run did not begin.
  ~SaveFolder();
  SaveFolder(const SaveFolder&) = delete;
  SaveFolder& operator=(const SaveFolder&) = delete;

  /// The checkpoint to load: with try_load_latest_save the newest here, else load_path; nothing for a new run.
  const std::optional<std::string>& checkpoint_to_load() const { return checkpoint_to_load_; }
  /// Whether that checkpoint was found by try_load_latest_save: the run itself saved it.
  bool continues_latest_save() const { return continues_latest_save_; }
  /// Whether that checkpoint is one of this folder's own, and its step is taken over too: then the run goes on, and
  /// files here are continued.
  bool resumes_here() const { return resumes_here_; }
  /// Whether files of an earlier run here may be written over: with save_overwrite, when the run resumes here, and with
  /// try_load_latest_save when an earlier attempt was killed before its first checkpoint.
  bool may_overwrite() const { return may_overwrite_; }

  /// Writes config.yaml, or writes over it.
  void WriteConfig() const;
  /// Where the run continues its latest save: does what may be left to do of it, since the run may have been killed
  /// when the checkpoint had just got its name. The links lead to the newest ones of the state's lists, and what is
  /// kept no longer is removed.
  void FinishLastSave(TrainerState& state) const;
  /// To be called before the run opens its records (train/run_records.h). If it writes over those of an earlier run, or
  /// cuts them off, keeps a copy here until it has saved a checkpoint after step 0. If it goes on with a run that
  /// another wrote over without saving a checkpoint, puts that run's records back. All ranks call it together.
  void KeepEarlierRecords() const;
  /// Saves a checkpoint of the engine's ranks, adds it to the state's lists and removes those that are kept no longer.
  /// Throws as RequireUnmoved first.
  void Save(SaveKind kind, const Engine& engine, TrainerState& state) const;

  /// On rank 0: whether the path of the folder leads to another one by now, or to none. On others no.
  bool IsLost() const { return lock_ && lock_->IsLost(); }
  /// Throws IoError on all ranks, with what was found and which step is saved, if it IsLost. `state` is where the run
  /// stands. All ranks call it together.
  void RequireUnmoved(const TrainerState& state) const;

 private:
  /// On rank 0: makes the folder and decides where the run starts.
  void Prepare();
  /// Gives all ranks what rank 0 has decided.
  void ShareDecisions();
  /// Throws ConfigError on all ranks unless they see a file that rank 0 makes for a moment.
  void RequireShared() const;
  /// The same for a run at `step` whose last checkpoint is that of step `saved`; -1: it has none.
  void RequireUnmoved(std::int64_t step, std::int64_t saved) const;
  /// Save, but for its look at the folder.
  void Write(SaveKind kind, const Engine& engine, TrainerState& state) const;
  /// Shortens the state's lists after a save and, on the rank that `removes`, removes what leaves them.
  void Retain(SaveKind kind, bool removes, TrainerState& state) const;

  TrainConfig config_;
  Console& console_;
  Communicator& ranks_;
  bool is_new_ = false;             // on rank 0: whether the folder was made here
  std::optional<FolderLock> lock_;  // of rank 0
  std::optional<std::string> checkpoint_to_load_;
  bool continues_latest_save_ = false;
  bool resumes_here_ = false;
  bool may_overwrite_ = false;
  std::int64_t run_ = 0;                  // of what this run saves: TrainerState::Extra
  std::vector<std::string> passed_over_;  // on rank 0: folders of checkpoints that are not whole
  bool extends_latest_run_ = false;       // on rank 0: nothing of an earlier run is written over
  std::string earlier_records_;           // on rank 0: where those of the run that goes on, or of the latest, are kept
};

}  // namespace coat
