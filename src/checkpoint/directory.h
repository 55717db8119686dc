#pragma once
// The folders of checkpoints in a run's save folder: names, which are whole, which is the latest, removal.
//
// A checkpoint's name always stands for a whole checkpoint or for none. What is being written, replaced or removed
// bears a name that ends in -tmp (step10-tmp, step10-replaced-tmp, step10-removed-tmp), and the next start clears it
// away.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coat {

/// Sharded checkpoints are step10, linked as latest; unsharded ones step10-unsharded, linked as latest-unsharded
/// (OLMo).
enum class CheckpointKind { kSharded, kUnsharded };

struct CheckpointName {
  std::int64_t step = 0;
  CheckpointKind kind = CheckpointKind::kSharded;

  std::string text() const;
  bool operator==(const CheckpointName&) const = default;
};

/// The name that a folder's name spells ("step10", "step10-unsharded"); nothing for any other text, "step10-tmp"
/// included.
std::optional<CheckpointName> ParseCheckpointName(std::string_view text);

/// The name of the link to the newest checkpoint of a kind.
std::string LatestLinkName(CheckpointKind kind);

/// The files that make a folder a checkpoint. The configuration is written last, after everything else is on the disk.
inline constexpr const char* kTrainerStateFile = "train.json";
inline constexpr const char* kConfigFile = "config.yaml";
/// Beside them: parameters and optimizer state under their names, FP8 as F8_E4M3 and F8_E5M2. Several ranks save their
/// parts in files of their own (docs/checkpoints.md).
inline constexpr const char* kModelFile = "model.safetensors";
inline constexpr const char* kOptimizerFile = "optim.safetensors";
/// On a GPU: which algorithms of matrix products were found fastest. A run that goes on takes the same, to the bit.
inline constexpr const char* kTuningFile = "tuning.json";

/// The ends of names that no checkpoint has: being written, on its way out, or making room for one that replaces it.
inline constexpr std::string_view kTemporarySuffix = "-tmp";
inline constexpr std::string_view kRemovedSuffix = "-removed-tmp";
inline constexpr std::string_view kReplacedSuffix = "-replaced-tmp";

/// True for a folder, or a link to one, that holds a state and a configuration.
bool IsWholeCheckpoint(const std::string& path);

/// Which of the runs that began in the save folder, one after the other, saved a whole checkpoint: 1, 2, ... for those
/// that came to earlier ones' checkpoints, 0 for the first. Nothing if its train.json cannot be read.
std::optional<std::int64_t> RunOf(const std::string& path);

struct LatestCheckpoint {
  std::optional<std::string> path;      // of the newest whole checkpoint, if there is any
  std::int64_t run = 0;                 // that saved it: RunOf
  std::vector<std::string> incomplete;  // paths that rank before it by their names and are not whole; worth a warning
};

/// The newest checkpoint in a folder: of the latest run the highest step, sharded before unsharded of the same step;
/// other names do not count, and it must be whole. (In OLMo runs do not count, and a run that writes over an earlier
/// one goes on from that one's checkpoint.) One whose train.json cannot be read counts as the latest run's. A folder
/// that does not exist has none.
LatestCheckpoint FindLatestCheckpoint(const std::string& folder);

/// Makes the save folder if need be, checks that files can be made in it (IoError if not), and clears away what a
/// killed run left: unfinished and half removed checkpoints go, one that was about to be replaced gets its name back.
/// Only names that this program makes are touched. Returns a line on each thing done, for the log. No other run may be
/// saving there.
std::vector<std::string> PrepareSaveFolder(const std::string& folder);

/// Removes the checkpoint `name` of `folder`, by a new name first, so that a kill leaves no half of it under the old.
/// One that is missing is fine. Throws ArgumentError if `name` is not a checkpoint's.
void RemoveCheckpoint(const std::string& folder, const std::string& name);

/// Removes the first checkpoints of `names` (oldest first), from the disk and from the list, until `keep` are left; -1
/// keeps all. Call it after the newest is saved.
void ApplyRetention(const std::string& folder, std::vector<std::string>& names, std::int64_t keep);

/// Those of `names` that are whole checkpoints of `folder`: how a list from a loaded checkpoint is taken over.
std::vector<std::string> ExistingCheckpoints(const std::string& folder, const std::vector<std::string>& names);

}  // namespace coat
