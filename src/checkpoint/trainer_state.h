#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/file_record.h"

namespace coat {

/// Where a run stands: what a checkpoint holds besides tensors and configuration, in its file train.json.
struct TrainerState {
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  std::int64_t examples_seen_this_epoch = 0;  // the position in the epoch's order
  std::int64_t examples_seen = 0;
  std::int64_t tokens_seen = 0;
  std::int64_t world_size = 1;
  double current_train_loss = std::numeric_limits<double>::infinity();
  double min_train_loss = std::numeric_limits<double>::infinity();

  /// Names of the checkpoints in the save folder, oldest first: what retention works on.
  std::vector<std::string> checkpoints;
  std::vector<std::string> unsharded_checkpoints;
  std::vector<std::string> ephemeral_checkpoints;

  /// What OLMo does not keep, in the object "extra". A key that is not there means the value here; those of optional
  /// members and of `evaluation_due` are there only when they say something.
  struct Extra {
    std::int64_t updates = 0;                        // done since the moments began: AdamW's step
    std::int64_t skipped_steps = 0;                  // of the whole run
    std::int64_t skipped_in_a_row = 0;               // up to the last step
    std::optional<std::int64_t> bolt_on_start;       // where the schedule warms up again: a step, or tokens
    bool evaluation_due = false;                     // after this step, and the run was stopped before it
    std::optional<std::int64_t> run_in_save_folder;  // of the runs that began there: 1, 2, ...; none for the first

    bool operator==(const Extra&) const = default;
  };
  Extra extra;

  /// The other files of the checkpoint, with size and checksum. CheckpointWriter fills it.
  std::vector<FileRecord> files;

  bool operator==(const TrainerState&) const = default;
};

/// The text of train.json. Numbers keep every bit; infinities and NaN are the strings "inf", "-inf" and "nan". The text
/// ends with a checksum of its own values. Throws ArgumentError for a state that ParseTrainerState would refuse.
std::string FormatTrainerState(const TrainerState& state);

/// The state from the text of train.json. Throws IoError with `path` and the key for JSON that is malformed, a key that
/// is missing or unknown, a value of the wrong type or range, a name that is not a checkpoint's or a file's, and for
/// values that do not fit their checksum.
TrainerState ParseTrainerState(std::string_view text, const std::string& path);

}  // namespace coat
