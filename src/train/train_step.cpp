#include "train/train_step.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "train/labels.h"
#include "train/state_keys.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

}  // namespace

TrainStep::TrainStep(const TrainConfig& config, Engine& engine, Console& console)
    : config_(config), engine_(engine), console_(console) {}

StepReport TrainStep::Run(const Batch& batch, const RunSchedule& schedule, TrainerState& state) {
  const StepLosses losses = ForwardBackward(batch);
  const ClippingResult gradients = engine_.MeasureGradients(schedule.Limits(state));
  const double learning_rate = schedule.LearningRate(state);
  Metrics of_parameters = ParameterMetricsOf(config_, state.step, gradients, engine_);
  if (std::isfinite(losses.cross_entropy) && gradients.first_non_finite.empty()) {
    state.extra[kUpdates] += 1.0;
    state.extra[kSkippedInARow] = 0.0;
    engine_.Update(learning_rate, static_cast<std::int64_t>(state.extra[kUpdates]));
    state.current_train_loss = losses.cross_entropy;
    state.min_train_loss = std::min(state.min_train_loss, losses.cross_entropy);
  } else {
    SkipUpdate(losses, gradients, state);
  }
  return {.step = StepMetricsOf(config_, losses, gradients, learning_rate, state.extra.at(kSkipped)),
          .parameters = std::move(of_parameters)};
}

StepLosses TrainStep::ForwardBackward(const Batch& batch) {
  const std::int64_t sequences = batch.sequence_count();
  const std::int64_t length = batch.sequence_length;
  labels_.resize(batch.input_ids.size());
  const std::int64_t predicted = MakeLabels(batch, 0, sequences, labels_);
  const double of_each = predicted > 0 ? 1.0 / static_cast<double>(predicted) : 0.0;
  const double z_multiplier = config_.softmax_auxiliary_loss ? config_.auxiliary_loss_multiplier.value_or(0.0) : 0.0;
  const LossWeights weights = {.loss = of_each, .z = z_multiplier * of_each};
  LossSums sums;
  for (std::int64_t begin = 0; begin < sequences; begin += config_.device_train_microbatch_size) {
    const std::int64_t count = std::min(config_.device_train_microbatch_size, sequences - begin);
    const auto offset = static_cast<std::size_t>(begin * length);
    const auto tokens = static_cast<std::size_t>(count * length);
    const LossSums of_micro_batch =
        engine_.TrainMicroBatch(std::span(batch.input_ids).subspan(offset, tokens),
                                std::span(labels_).subspan(offset, tokens), count, weights, begin == 0);
    sums.cross_entropy += of_micro_batch.cross_entropy;
    sums.z_squared += of_micro_batch.z_squared;
  }
  return {.cross_entropy = sums.cross_entropy * of_each, .z = sums.z_squared * weights.z};
}

void TrainStep::SkipUpdate(const StepLosses& losses, const ClippingResult& gradients, TrainerState& state) {
  state.extra[kSkipped] += 1.0;
  const double in_a_row = state.extra[kSkippedInARow] += 1.0;
  const std::string cause = gradients.first_non_finite.empty()
                                ? std::string("no gradient is to blame")
                                : fmt::format("the gradient of {} is not finite", gradients.first_non_finite);
  const std::string message = fmt::format("step {} is skipped, {} in a row: the loss is {}, {}", state.step,
                                          static_cast<std::int64_t>(in_a_row), losses.cross_entropy, cause);
  console_.Warn(kLogger, message);
  if (in_a_row >= static_cast<double>(config_.max_skipped_steps)) {
    throw TrainingError(message +
                        "; max_skipped_steps is reached. A lower learning rate, a longer warm-up or "
                        "max_grad_norm may help");
  }
}

}  // namespace coat
