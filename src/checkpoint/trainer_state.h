#pragma once

#include <cstdint>
#include <limits>
#include <map>
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

  /// Whatever else a part of the trainer must find again.
  std::map<std::string, double> extra;

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
