#include "train/train_step.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "comm/agreement.h"
#include "data/labels.h"
#include "data/micro_batches.h"
#include "train/module_outputs.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

/// Looks at nothing: while rank 0 writes what its modules compute, the other ranks must not replay recorded work either
/// (cuda/open_nccl.h).
class BesideRankZero final : public TensorObserver {
 public:
  void See(const Context&, std::string_view, std::span<const Arena::Entry>) override {}
};

/// Why gradients make no update; "" if they do.
std::string BlameFor(const ClippingResult& gradients) {
  if (!gradients.first_non_finite.empty()) {
    return fmt::format("the gradient of {} is not finite", gradients.first_non_finite);
  }
  if (!std::isfinite(gradients.total_norm)) {
    return "the norm of all gradients together is beyond the largest float32";
  }
  return "";
}

}  // namespace

TrainStep::TrainStep(const TrainConfig& config, bool overwrite, Engine& engine, Console& console)
    : config_(config), overwrite_(overwrite), engine_(engine), console_(console) {}

StepReport TrainStep::Run(const Batch& in_order, const RunSchedule& schedule, TrainerState& state) {
  const Batch batch = InMicroBatchOrder(in_order, config_.MicroBatch());
  labels_.resize(batch.input_ids.size());
  const std::int64_t predicted = MakeLabels(batch, 0, batch.sequence_count(), labels_);
  const BatchCounts counts = CountsOfAllRanks(batch, predicted);
  const double learning_rate = schedule.LearningRate(state);
  if (counts.predicted == 0.0) {
    std::string failure = SkipUpdate("no token of it has a label",
                                     "data.label_mask_paths or data.instance_filter leave nothing to learn", state);
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    ClippingResult nothing;
    nothing.total_norm = kNone;
    return {.step = MetricsOf(counts, {.cross_entropy = kNone, .z = kNone}, nothing, learning_rate, state),
            .parameters = {},
            .failure = std::move(failure)};
  }
  const StepLosses losses = ForwardBackward(batch, counts.predicted, state.step);
  const ClippingResult gradients = engine_.MeasureGradients(schedule.Limits(state));
  Metrics of_parameters = ParameterMetricsOf(config_, state.step, gradients, engine_);
  std::string failure;
  const std::string blame = BlameFor(gradients);
  if (std::isfinite(losses.cross_entropy) && blame.empty()) {
    state.extra.skipped_in_a_row = 0;
    const std::int64_t update = ++state.extra.updates;
    of_parameters.Merge(UpdateMetricsOf(config_, state.step, learning_rate, update, engine_));
    engine_.Update(learning_rate, update);
    state.current_train_loss = losses.cross_entropy;
    state.min_train_loss = std::min(state.min_train_loss, losses.cross_entropy);
  } else {
    failure = SkipUpdate(
        fmt::format("the loss is {}, {}",
                    std::isnan(losses.cross_entropy) ? std::numeric_limits<double>::quiet_NaN() : losses.cross_entropy,
                    blame.empty() ? "no gradient is to blame" : blame),
        "A lower learning rate, a longer warm-up or max_grad_norm may help", state);
  }
  return {.step = MetricsOf(counts, losses, gradients, learning_rate, state),
          .parameters = std::move(of_parameters),
          .failure = std::move(failure)};
}

TrainStep::BatchCounts TrainStep::CountsOfAllRanks(const Batch& batch, std::int64_t predicted) const {
  const std::int64_t masked = std::count(batch.instance_mask.begin(), batch.instance_mask.end(), std::uint8_t{0});
  std::array<double, 2> counts = {static_cast<double>(predicted), static_cast<double>(masked)};
  engine_.ranks().AllReduce(counts, Reduction::kSum);
  return {.predicted = counts[0], .masked = counts[1]};
}

Metrics TrainStep::MetricsOf(const BatchCounts& counts, const StepLosses& losses, const ClippingResult& gradients,
                             double learning_rate, const TrainerState& state) const {
  Metrics metrics = StepMetricsOf(config_, losses, gradients, learning_rate, state.extra.skipped_steps);
  if (config_.data.instance_filter) metrics.Set("train/masked_instances_local_rank", counts.masked);
  return metrics;
}

std::unique_ptr<TensorObserver> TrainStep::WatchModules(std::int64_t step) {
  const auto& steps = config_.module_outputs_save_steps;
  if (!steps || std::find(steps->begin(), steps->end(), step) == steps->end()) return nullptr;
  if (engine_.ranks().rank() != 0) return std::make_unique<BesideRankZero>();
  auto outputs = std::make_unique<ModuleOutputs>(config_.save_folder, step, overwrite_);
  console_.Info(kLogger, fmt::format("Writing the outputs of all modules to {}", outputs->folder()));
  return outputs;
}

StepLosses TrainStep::ForwardBackward(const Batch& batch, double predicted, std::int64_t step) {
  const std::unique_ptr<TensorObserver> outputs = WatchModules(step);
  const std::int64_t sequences = batch.sequence_count();
  const std::int64_t length = batch.sequence_length;
  const double of_each = 1.0 / predicted;
  const double z_multiplier = config_.softmax_auxiliary_loss ? config_.auxiliary_loss_multiplier.value_or(0.0) : 0.0;
  const LossWeights weights = {.loss = of_each, .z = z_multiplier * of_each};
  LossSums sums;
  for (std::int64_t begin = 0; begin < sequences; begin += config_.MicroBatch()) {
    const std::int64_t count = std::min(config_.MicroBatch(), sequences - begin);
    const auto offset = static_cast<std::size_t>(begin * length);
    const auto tokens = static_cast<std::size_t>(count * length);
    const std::span<const std::int32_t> documents = batch.documents;
    engine_.SetObserver(begin == 0 ? outputs.get() : nullptr);
    const LossSums of_micro_batch = engine_.TrainMicroBatch(
        std::span(batch.input_ids).subspan(offset, tokens), std::span(labels_).subspan(offset, tokens), count, weights,
        begin == 0, documents.empty() ? documents : documents.subspan(offset, tokens));
    sums.cross_entropy += of_micro_batch.cross_entropy;
    sums.z_squared += of_micro_batch.z_squared;
  }
  engine_.SetObserver(nullptr);
  std::array<double, 2> of_all_ranks = {sums.cross_entropy, sums.z_squared};
  engine_.ranks().AllReduce(of_all_ranks, Reduction::kSum);
  return {.cross_entropy = of_all_ranks[0] * of_each, .z = of_all_ranks[1] * weights.z};
}

std::string TrainStep::SkipUpdate(std::string_view cause, std::string_view advice, TrainerState& state) {
  ++state.extra.skipped_steps;
  const std::int64_t in_a_row = ++state.extra.skipped_in_a_row;
  const std::string message = fmt::format("step {} is skipped, {} in a row: {}", state.step, in_a_row, cause);
  console_.Warn(kLogger, message);
  if (in_a_row < config_.max_skipped_steps) return "";
  return fmt::format("{}; max_skipped_steps is reached. {}", message, advice);
}

}  // namespace coat
