#include "train/run_stop.h"

#include <fmt/core.h>

#include <array>
#include <string_view>

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

}  // namespace

RunStop::RunStop(const TrainConfig& config, const StopSignal& signal, SaveFolder& folder, Communicator& ranks,
                 Console& console)
    : config_(config), signal_(signal), folder_(folder), ranks_(ranks), console_(console) {}

bool RunStop::IsSignaled(const TrainerState& state) {
  if (is_signaled_) return true;
  std::array<double, 2> found = {signal_.requested() ? 1.0 : 0.0, folder_.IsLost() ? 1.0 : 0.0};
  ranks_.AllReduce(found, Reduction::kMax);
  if (found[1] != 0.0) folder_.RequireUnmoved(state);
  is_signaled_ = found[0] != 0.0;
  return is_signaled_;
}

void RunStop::CheckCanceled(const TrainerState& state, RunSchedule& schedule) {
  std::array<double, 1> seconds = {std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count()};
  ranks_.AllReduce(seconds, Reduction::kMax);
  cancellation_ = CheckCancellation(config_, state, schedule.Position(state), seconds[0]);
  if (!cancellation_) return;
  console_.Warn(kLogger,
                fmt::format("{}: saving, then {} more steps", cancellation_->reason, cancellation_->extra_steps));
  schedule.StopAfter(state.step + cancellation_->extra_steps);
}

std::string RunStop::Describe(std::int64_t step, std::int64_t saved) const {
  return fmt::format("Stopped after step {}{}{}{}", step,
                     is_signaled_ ? " by a signal" : ", because " + cancellation_->reason,
                     saved < 0 ? "" : fmt::format(": the checkpoint of step {} is saved", saved),
                     saved < 0 || (is_final() && !is_signaled_) ? "" : "; --try_load_latest_save goes on from there");
}

}  // namespace coat
