#include "train/cancellation.h"

#include "base/error.h"

namespace coat {

std::optional<Cancellation> CheckCancellation(const TrainConfig& config, const TrainerState& state, double position,
                                              double seconds) {
  if (config.time_limit && seconds >= *config.time_limit) {
    return Cancellation{.reason = "time_limit is reached", .extra_steps = config.extra_steps_after_cancel};
  }
  if (config.early_stopping_factor && position > config.scheduler.t_warmup &&
      state.current_train_loss > *config.early_stopping_factor * state.min_train_loss) {
    return Cancellation{.reason = fmt::format("the loss {} is above early_stopping_factor times the least one, {}",
                                              state.current_train_loss, state.min_train_loss),
                        .is_final = true};
  }
  return std::nullopt;
}

}  // namespace coat
