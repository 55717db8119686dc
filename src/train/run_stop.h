#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "checkpoint/trainer_state.h"
#include "comm/communicator.h"
#include "config/config.h"
#include "output/console.h"
#include "output/stop_signal.h"
#include "train/cancellation.h"
#include "train/run_schedule.h"
#include "train/save_folder.h"

namespace coat {

/// What ends a run before its last step: a signal, or what cancels it (train/cancellation.h). All ranks ask together
/// and are told the same.
class RunStop {
 public:
  /// The time of time_limit starts now. References must stay valid.
  RunStop(const TrainConfig& config, const StopSignal& signal, SaveFolder& folder, Communicator& ranks,
          Console& console);

  /// Whether a signal has asked any rank to stop. Throws where the save folder is lost: what is trained from then on
  /// could not be saved.
  bool IsSignaled(const TrainerState& state);
  /// Looks whether the run is to be canceled: then `schedule` ends after its extra steps. A checkpoint of this step is
  /// to be saved, and from then on nothing more is saved or evaluated.
  void CheckCanceled(const TrainerState& state, RunSchedule& schedule);
  bool is_canceled() const { return cancellation_.has_value(); }
  /// Whether going on would be in vain.
  bool is_final() const { return cancellation_ && cancellation_->is_final; }

  /// Why the run has stopped and how it goes on, once a signal or a cancellation has ended it; `saved` is the step of
  /// its last checkpoint, -1 if there is none.
  std::string Describe(std::int64_t step, std::int64_t saved) const;

 private:
  const TrainConfig& config_;
  const StopSignal& signal_;
  SaveFolder& folder_;
  Communicator& ranks_;
  Console& console_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool is_signaled_ = false;
  std::optional<Cancellation> cancellation_;
};

}  // namespace coat
