#pragma once

#include <string>

#include "checkpoint/safetensors.h"
#include "checkpoint/trainer_state.h"

namespace coat {

/// A checkpoint that CheckpointWriter saved. Each file is compared with its recorded size and checksum when it is
/// opened, before any of it is handed out, so that a damaged file is an IoError and never silently wrong numbers.
class CheckpointReader {
 public:
  /// Reads the trainer state. Throws IoError if `path` is not a whole checkpoint or the state is damaged.
  explicit CheckpointReader(std::string path);

  const std::string& path() const { return path_; }
  const TrainerState& state() const { return state_; }
  bool Contains(const std::string& name) const;

  SafetensorsReader OpenSafetensors(const std::string& name) const;
  std::string ReadFile(const std::string& name) const;

 private:
  MappedFile OpenChecked(const std::string& name) const;

  std::string path_;
  TrainerState state_;
};

}  // namespace coat
