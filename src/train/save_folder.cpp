#include "train/save_folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <tuple>

#include "base/atomic_file.h"
#include "base/error.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/directory.h"
#include "checkpoint/file_names.h"
#include "comm/agreement.h"
#include "comm/packed.h"
#include "config/dump.h"
#include "engine/run_checkpoint.h"
#include "output/metrics_file.h"
#include "train/run_records.h"

namespace coat {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLogger = "coat.train";

/// The begin of the name of a copy of records; then comes the number of the run (TrainerState::Extra) that writes over
/// them.
constexpr std::string_view kEarlierRecords = "records-before-run";

/// A kill leaves it whole, or under a name from which nothing is put back.
void RemoveRecords(const std::string& path) {
  const std::string removed = path + std::string(kTemporarySuffix);
  RemoveTree(removed);
  if (KindOf(path) == PathKind::kMissing) return;
  Rename(path, removed);
  RemoveTree(removed);
}

void RemoveEarlierRecords(const std::string& folder) {
  for (const std::string& name : ListFolder(folder)) {
    if (!name.starts_with(kEarlierRecords)) continue;
    RemoveRecords(folder + "/" + name.substr(0, name.find(kTemporarySuffix)));
  }
}

std::string ConfigPath(const std::string& folder) {
  return folder + "/" + kConfigFile;
}

/// Whether `path`, links resolved, lies directly in `folder`.
bool LiesIn(const std::string& path, const std::string& folder) {
  std::error_code error;
  const fs::path target = fs::canonical(path, error);
  if (error) return false;
  const fs::path parent = fs::canonical(folder, error);
  return !error && target.parent_path() == parent;
}

/// Whether the checkpoint at `path`, in the folder of the `latest`, is of an earlier run or step.
bool IsOlder(const std::string& path, const std::string& latest) {
  const auto step_of = [](const std::string& checkpoint) {
    const std::optional<CheckpointName> name = ParseCheckpointName(fs::canonical(checkpoint).filename().string());
    return name ? name->step : -1;
  };
  return RunOf(path) != RunOf(latest) || step_of(latest) > step_of(path);
}

/// Whether the run begins at step 0 with a checkpoint's model, whoever saved it.
bool StartsOver(const TrainConfig& config) {
  return config.reset_trainer_state || !config.restore_dataloader;
}

bool TouchesFolder(const TrainConfig& config) {
  return !config.dry_run || config.force_save_unsharded;
}

/// The checkpoint of a state's list that was saved last, or one of step -1.
CheckpointName NewestOf(const std::vector<std::string>& names) {
  const auto name = names.empty() ? std::nullopt : ParseCheckpointName(names.back());
  return name.value_or(CheckpointName{.step = -1, .kind = CheckpointKind::kSharded});
}

}  // namespace

std::int64_t LastSaved(const TrainerState& state) {
  return std::max({NewestOf(state.checkpoints).step, NewestOf(state.unsharded_checkpoints).step,
                   NewestOf(state.ephemeral_checkpoints).step});
}

SaveFolder::SaveFolder(const TrainConfig& config, Console& console, Communicator& ranks)
    : config_(config), console_(console), ranks_(ranks) {
  Agreement agreement(ranks);
  agreement.TryForAll([this] { Prepare(); });
  agreement.Meet();
  if (ranks.size() == 1) return;
  ShareDecisions();
  if (TouchesFolder(config)) RequireShared();
}

SaveFolder::~SaveFolder() {
  std::error_code not_empty;
  if (is_new_ && !IsLost()) fs::remove(config_.save_folder, not_empty);
}

void SaveFolder::Prepare() {
  const TrainConfig& config = config_;
  const std::string& folder = config.save_folder;
  if (TouchesFolder(config)) {
    is_new_ = KindOf(folder) == PathKind::kMissing;
    MakeFolders(folder);
    if (lock_.emplace(folder).is_taken()) {
      throw ConfigError(
          fmt::format("save_folder: another run is going on in {}; accepted: another save_folder, or this one when "
                      "that run has ended",
                      folder));
    }
    for (const std::string& line : PrepareSaveFolder(folder)) console_.Info(kLogger, line);
  }
  const LatestCheckpoint latest = FindLatestCheckpoint(folder);
  if (config.try_load_latest_save) {
    for (const std::string& path : latest.incomplete) {
      console_.Warn(kLogger, fmt::format("{} is not a whole checkpoint and is passed over", path));
    }
    passed_over_ = latest.incomplete;
    checkpoint_to_load_ = latest.path;
    continues_latest_save_ = latest.path.has_value();
  }
  if (!checkpoint_to_load_) checkpoint_to_load_ = config.load_path;
  resumes_here_ =
      continues_latest_save_ || (checkpoint_to_load_ && !StartsOver(config) && LiesIn(*checkpoint_to_load_, folder));
  const bool is_newest = resumes_here_ && latest.path && !IsOlder(*checkpoint_to_load_, *latest.path);
  run_ = latest.path && !is_newest && !config.dry_run ? latest.run + 1 : latest.run;
  extends_latest_run_ = is_newest;
  const std::int64_t continued = resumes_here_ ? RunOf(*checkpoint_to_load_).value_or(latest.run) : latest.run;
  earlier_records_ = fmt::format("{}/{}{}", folder, kEarlierRecords, latest.path ? continued + 1 : 0);
  if (resumes_here_ && !config.save_overwrite && latest.path && !is_newest) {
    throw ConfigError(fmt::format(
        "load_path: {} is not the newest checkpoint of {}, and going on from it would write over later ones; "
        "accepted: --save_overwrite to do so, another save_folder, or --try_load_latest_save",
        *checkpoint_to_load_, folder));
  }
  const bool begins_again = config.try_load_latest_save && !continues_latest_save_;
  may_overwrite_ = config.save_overwrite || resumes_here_ || begins_again;
  if (!config.dry_run && !may_overwrite_ && fs::exists(ConfigPath(folder))) {
    throw ConfigError(fmt::format(
        "save_folder: {} holds a run already; accepted: another save_folder, --save_overwrite to write over "
        "it, or --try_load_latest_save to go on with it",
        folder));
  }
  if (!config.dry_run && latest.path && !is_newest) {
    console_.Warn(kLogger, fmt::format("{} is of an earlier run: until this run has saved a checkpoint, "
                                       "--try_load_latest_save goes on from there",
                                       *latest.path));
  }
}

void SaveFolder::ShareDecisions() {
  std::tie(continues_latest_save_, resumes_here_, may_overwrite_, run_, checkpoint_to_load_) =
      OfRankZero(ranks_, continues_latest_save_, resumes_here_, may_overwrite_, run_, checkpoint_to_load_);
}

void SaveFolder::RequireShared() const {
  std::optional<AtomicFile> made;  // and gone at the end
  std::string name;
  Agreement agreement(ranks_);
  agreement.TryForAll([&] {
    made.emplace(ConfigPath(config_.save_folder), /*overwrite=*/true);
    name = fs::path(made->partial_path()).filename().string();
  });
  const fs::path found = fs::path(config_.save_folder) / agreement.Meet(name).front();
  Together(ranks_, [&] {
    if (fs::exists(found)) return;
    throw ConfigError(
        fmt::format("save_folder: {} has not what rank 0 has just written into its own; accepted: a "
                    "folder that all ranks share",
                    fs::absolute(config_.save_folder).string()));
  });
}

void SaveFolder::WriteConfig() const {
  if (ranks_.rank() != 0) return;
  const std::string text = Dump(config_);
  AtomicFile file(ConfigPath(config_.save_folder), /*overwrite=*/true);
  file.Write(std::as_bytes(std::span(text)));
  file.Commit();
}

void SaveFolder::FinishLastSave(TrainerState& state) const {
  if (!continues_latest_save_) return;
  const std::int64_t kept = NewestOf(state.checkpoints).step;
  const CheckpointName ephemeral = NewestOf(state.ephemeral_checkpoints);
  const bool is_ephemeral = ephemeral.step > kept;
  Together(ranks_, [&] {
    const bool is_first = ranks_.rank() == 0;
    for (const CheckpointName& newest :
         {is_ephemeral ? ephemeral : NewestOf(state.checkpoints), NewestOf(state.unsharded_checkpoints)}) {
      const std::string link = config_.save_folder + "/" + LatestLinkName(newest.kind);
      std::error_code none;  // then it is made
      if (!is_first || newest.step < 0 || fs::read_symlink(link, none) == newest.text()) continue;
      ReplaceLink(newest.text(), link);
    }
    if (is_ephemeral || kept >= 0) Retain(is_ephemeral ? SaveKind::kEphemeral : SaveKind::kSharded, is_first, state);
    Retain(SaveKind::kUnsharded, is_first, state);
  });
}

void SaveFolder::KeepEarlierRecords() const {
  Together(ranks_, [&] {
    if (ranks_.rank() != 0) return;
    const std::string& folder = config_.save_folder;
    const auto has_records = [&] { return KindOf(folder + "/" + std::string(kMetricsFileName)) != PathKind::kMissing; };
    bool are_kept = KindOf(earlier_records_) != PathKind::kMissing;
    if (are_kept && has_records()) {
      console_.Info(kLogger,
                    fmt::format("The metrics in {} are removed: the run that wrote them has saved no checkpoint "
                                "after step 0",
                                folder));
    }
    if (are_kept && resumes_here_) {
      CopyRecords(earlier_records_, folder);
      RemoveRecords(earlier_records_);
      are_kept = false;
    }
    if (extends_latest_run_ || !has_records()) return;
    // Kept already: by a start that has saved no checkpoint either.
    if (!are_kept) {
      const std::string copy = earlier_records_ + std::string(kTemporarySuffix);
      CopyRecords(folder, copy);
      Rename(copy, earlier_records_);
      SyncFolder(folder);
    }
    console_.Info(
        kLogger, fmt::format("The metrics of an earlier run are kept in {} until this run has saved a checkpoint after "
                             "step 0",
                             earlier_records_));
  });
}

void SaveFolder::RequireUnmoved(const TrainerState& state) const {
  RequireUnmoved(state.step, LastSaved(state));
}

void SaveFolder::RequireUnmoved(std::int64_t step, std::int64_t saved) const {
  Agreement agreement(ranks_);
  agreement.TryForAll([&] {
    if (!IsLost()) return;
    std::error_code none;
    const bool is_there = fs::exists(config_.save_folder, none);
    const std::string kept =
        saved < 0
            ? fmt::format("The run is at step {} and has saved no checkpoint", step)
            : fmt::format("The run is at step {}, and nothing after the checkpoint of step {} is saved", step, saved);
    throw IoError(fmt::format(
        "save_folder: {} was moved or removed while the run went on: {}. {}. {}", config_.save_folder,
        is_there ? "another folder is there now, into which nothing was written" : "there is nothing now", kept,
        saved < 0 ? "Start it again" : "Move the folder back, and --try_load_latest_save goes on from there"));
  });
  agreement.Meet();
}

void SaveFolder::Save(SaveKind kind, const Engine& engine, TrainerState& state) const {
  const std::int64_t saved = LastSaved(state);
  RequireUnmoved(state.step, saved);
  try {
    Write(kind, engine, state);
  } catch (const IoError& error) {
    // What failed may be no more than that the folder was moved meanwhile.
    if (error.is_of_all_ranks || ranks_.size() == 1) RequireUnmoved(state.step, saved);
    throw;
  }
}

void SaveFolder::Write(SaveKind kind, const Engine& engine, TrainerState& state) const {
  const CheckpointKind layout = kind == SaveKind::kUnsharded ? CheckpointKind::kUnsharded : CheckpointKind::kSharded;
  const CheckpointName name = {.step = state.step, .kind = layout};
  std::vector<std::string>& list = kind == SaveKind::kSharded     ? state.checkpoints
                                   : kind == SaveKind::kUnsharded ? state.unsharded_checkpoints
                                                                  : state.ephemeral_checkpoints;
  Communicator& ranks = engine.ranks();
  // An earlier run's checkpoint of this step, or one that was passed over, is replaced also without save_overwrite.
  const std::string path = (fs::path(config_.save_folder) / name.text()).string();
  const std::optional<std::int64_t> old_run = RunOf(path);
  const bool is_passed_over = std::find(passed_over_.begin(), passed_over_.end(), path) != passed_over_.end();
  const bool replaces = config_.save_overwrite || is_passed_over || (old_run && *old_run < run_);
  CheckpointWriter writer(config_.save_folder, name, replaces ? IfExists::kReplace : IfExists::kRefuse, ranks);
  SaveTensors(engine, writer);
  std::erase(list, name.text());
  list.push_back(name.text());
  state.world_size = ranks.size();
  state.extra.run_in_save_folder = run_ > 0 ? std::optional(run_) : std::nullopt;
  writer.Commit(state, Dump(config_));
  console_.Info(kLogger, fmt::format("Saved {}", writer.path()));
  Together(ranks, [&] {
    const bool replaces_earlier = state.step > 0 && !config_.dry_run;
    if (ranks.rank() == 0 && replaces_earlier) RemoveEarlierRecords(config_.save_folder);
    Retain(kind, ranks.rank() == 0, state);
  });
}

void SaveFolder::Retain(SaveKind kind, bool removes, TrainerState& state) const {
  const auto retain = [&](std::vector<std::string>& names, std::int64_t keep) {
    if (removes) {
      ApplyRetention(config_.save_folder, names, keep);
    } else if (keep >= 0 && names.size() > static_cast<std::size_t>(keep)) {
      names.erase(names.begin(), names.end() - keep);
    }
  };
  // 0 is about those of the intervals: what is saved for another reason stays.
  const auto limit = [](std::int64_t keep) { return keep == 0 ? -1 : keep; };
  switch (kind) {
    case SaveKind::kSharded:
      retain(state.checkpoints, limit(config_.save_num_checkpoints_to_keep));
      retain(state.ephemeral_checkpoints, 0);
      break;
    case SaveKind::kUnsharded:
      retain(state.unsharded_checkpoints, limit(config_.save_num_unsharded_checkpoints_to_keep));
      break;
    case SaveKind::kEphemeral:
      retain(state.ephemeral_checkpoints, 1);
      break;
  }
}

}  // namespace coat
