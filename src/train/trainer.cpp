#include "train/trainer.h"

#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "data/indices_log.h"
#include "data/loader.h"
#include "optim/scheduler.h"
#include "train/console.h"
#include "train/data_options.h"
#include "train/engine.h"
#include "train/evaluation.h"
#include "train/labels.h"
#include "train/metrics.h"
#include "train/metrics_file.h"
#include "train/progress.h"
#include "train/run_checkpoint.h"
#include "train/run_description.h"
#include "train/run_length.h"
#include "train/save_folder.h"
#include "train/speed_monitor.h"
#include "train/stop_signal.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

/// What the trainer keeps in TrainerState::extra.
constexpr const char* kUpdates = "updates";
constexpr const char* kSkipped = "skipped_steps";
constexpr const char* kSkippedInARow = "skipped_in_a_row";
constexpr const char* kBoltOnStart = "bolt_on_start";

/// Losses of a whole step, and over how many positions they were taken.
struct StepLosses {
  double cross_entropy = 0.0;  // mean over the predicted positions
  double z = 0.0;              // likewise, times its multiplier
};

double PeakMemoryMegabytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024.0 / 1e6;
}

/// The command line's options, with `single.device` where they leave the device open.
DeviceOptions ForConfig(DeviceOptions options, const TrainConfig& config) {
  if (options.device != DeviceChoice::kAuto) return options;
  if (config.single.device == SingleDevice::kCpu) options.device = DeviceChoice::kCpu;
  if (config.single.device == SingleDevice::kCuda) options.device = DeviceChoice::kCuda;
  return options;
}

/// The loop of a run, in OLMo's order: batch, micro-batches, norms and clipping, learning rate, update, metrics,
/// evaluation, checkpoints.
class Trainer {
 public:
  Trainer(const TrainConfig& config, const TrainOptions& options)
      : config_(config),
        console_(DetectConsole(1)),
        dataset_(DatasetOptionsOf(config.model, config.data, "data")),
        device_(OpenComputeDevice(ForConfig(options.device, config_))),
        folder_(config_, console_),
        engine_(config_, std::move(device_.context)),
        speed_(config.speed_monitor.window_size, TrainingFlopsPerToken(config.model)) {
    for (std::size_t i = 0; i < config_.evaluators.size(); ++i) {
      evaluators_.emplace_back(config_, config_.evaluators[i], fmt::format("evaluators[{}]", i));
    }
  }

  TrainOutcome Run() {
    Log(DescribeRun(config_, device_.description, engine_, dataset_));
    Start();
    if (config_.dry_run) {
      console_.Info(kLogger, "Dry run: nothing trained, nothing written");
      return TrainOutcome::kFinished;
    }
    folder_.WriteConfig();
    const std::int64_t steps_done = folder_.resumes_here() ? state_.step : 0;
    metrics_file_ = std::make_unique<MetricsFile>(config_.save_folder + "/" + std::string(kMetricsFileName), steps_done,
                                                  folder_.may_overwrite());
    if (config_.save_data_indices) {
      indices_log_ = std::make_unique<DataIndexLog>(config_.save_folder + "/data-indices/rank0.tsv.gz", steps_done,
                                                    folder_.may_overwrite());
    }
    if (!folder_.checkpoint_to_load() && !config_.no_pre_train_checkpoint) SaveAndReload();
    if (config_.force_save_unsharded) Save(SaveKind::kUnsharded);
    if (config_.eval_on_load && folder_.checkpoint_to_load() && state_.step > 0) RecordEvaluation();
    return Fit();
  }

 private:
  void Log(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) console_.Info(kLogger, line);
  }

  std::int64_t TokensPerStep() const { return config_.global_train_batch_size * config_.model.max_sequence_length; }

  // Start: from a checkpoint, or from the seed.

  void Start() {
    state_.extra = {{kUpdates, 0.0}, {kSkipped, 0.0}, {kSkippedInARow, 0.0}};
    if (folder_.checkpoint_to_load()) {
      Load(*folder_.checkpoint_to_load());
    } else {
      engine_.InitializeParameters(static_cast<std::uint64_t>(config_.seed));
    }
    if (config_.epoch && *config_.epoch != state_.epoch) {
      state_.epoch = *config_.epoch;
      state_.examples_seen_this_epoch = 0;
    }
    MakeLoader();
    MakeScheduler();
  }

  void Load(const std::string& path) {
    const CheckpointReader reader(path);
    LoadParameters(reader, engine_);
    if (const std::string reason = LoadTuning(reader, engine_); !reason.empty()) {
      console_.Warn(kLogger,
                    fmt::format("{}: the choice of matrix products is not taken over: {}; losses may differ in "
                                "the last bits from those of a run without a stop",
                                path, reason));
    }
    if (!config_.reset_optimizer_state) LoadOptimizerState(reader, engine_);
    if (!config_.reset_trainer_state) {
      const std::map<std::string, double> fresh = state_.extra;
      state_ = reader.state();
      state_.extra.insert(fresh.begin(), fresh.end());
      if (config_.reset_optimizer_state) state_.extra[kUpdates] = 0.0;
    } else if (!config_.reset_optimizer_state && reader.state().extra.contains(kUpdates)) {
      state_.extra[kUpdates] = reader.state().extra.at(kUpdates);  // belongs to the moments
    }
    if (!config_.restore_dataloader) {
      state_.step = state_.epoch = state_.examples_seen_this_epoch = state_.examples_seen = state_.tokens_seen = 0;
    }
    const auto still_there = [&](std::vector<std::string>& names) {
      names = folder_.resumes_here() ? ExistingCheckpoints(config_.save_folder, names) : std::vector<std::string>();
    };
    still_there(state_.checkpoints);
    still_there(state_.unsharded_checkpoints);
    still_there(state_.ephemeral_checkpoints);
    if (folder_.resumes_here()) last_save_ = state_.step;
    console_.Info(kLogger, fmt::format("Loaded {}: step {}, epoch {}", path, state_.step, state_.epoch));
  }

  void MakeLoader() {
    LoaderOptions options;
    options.seed = static_cast<std::uint64_t>(config_.data.seed.value_or(config_.seed));
    options.global_batch_size = config_.global_train_batch_size;
    options.drop_last = config_.data.drop_last;
    if (folder_.checkpoint_to_load()) options.fast_forward_batches = config_.fast_forward_batches.value_or(0);
    loader_ =
        std::make_unique<DataLoader>(dataset_, options, DataPosition{state_.epoch, state_.examples_seen_this_epoch});
  }

  void MakeScheduler() {
    const RunStart start = {.step = state_.step,
                            .tokens_seen = state_.tokens_seen,
                            .tokens_per_step = TokensPerStep(),
                            .steps_per_epoch = loader_->batches_per_epoch()};
    max_steps_ = MaxSteps(config_.max_duration, start);
    last_step_ = LastStep(config_, start);
    scheduler_ = std::make_unique<Scheduler>(config_.scheduler, config_.optimizer.learning_rate,
                                             LengthForScheduler(config_, start));
    const bool warm_up_again =
        folder_.checkpoint_to_load() && config_.reset_optimizer_state && !config_.reset_trainer_state;
    if (warm_up_again) state_.extra[kBoltOnStart] = SchedulePosition();
    if (const auto found = state_.extra.find(kBoltOnStart); found != state_.extra.end()) {
      scheduler_->BoltOn(found->second);
    }
  }

  /// The state's place in the scheduler's unit.
  double SchedulePosition() const {
    return static_cast<double>(config_.scheduler.units == SchedulerUnits::kSteps ? state_.step : state_.tokens_seen);
  }

  // The loop.

  TrainOutcome Fit() {
    const auto start = std::chrono::steady_clock::now();
    bool canceled = false;
    while (state_.step < last_step_ && !stop_.requested()) {
      const Metrics metrics = TrainStep();
      if (!described_device_) Log(DescribeDeviceUse(engine_));
      described_device_ = true;
      const bool log = state_.step % config_.console_log_interval == 0 || state_.step == last_step_;
      ReportStep(metrics, log);
      if (!canceled && state_.step % config_.canceled_check_interval == 0) canceled = CheckCanceled(start);
      Metrics logged = log ? metrics : Metrics();
      const bool evaluate = state_.step % config_.eval_interval == 0 || state_.step == last_step_;
      if (evaluate && !canceled && !stop_.requested() && !evaluators_.empty()) logged.Merge(Evaluate());
      if (!logged.empty()) metrics_file_->Write(state_.step, logged);
      if (!canceled) SaveIfDue();
    }
    if (!canceled) SaveAtTheEnd();
    FlushRecords();
    console_.ClearProgress();
    if (stop_.requested()) {
      console_.Info(kLogger, fmt::format("Stopped by a signal after step {}; --try_load_latest_save goes on from there",
                                         state_.step));
      return TrainOutcome::kStoppedBySignal;
    }
    console_.Info(kLogger,
                  fmt::format("Finished at step {}: {} tokens", state_.step, WithSeparators(state_.tokens_seen)));
    return TrainOutcome::kFinished;
  }

  /// One optimizer step; its metrics.
  Metrics TrainStep() {
    const Batch& batch = loader_->Next();
    state_.step += 1;
    state_.examples_seen += config_.global_train_batch_size;
    state_.tokens_seen += TokensPerStep();
    state_.epoch = loader_->position().epoch;
    state_.examples_seen_this_epoch = loader_->position().examples_seen_this_epoch;
    speed_.StartBatch(state_.tokens_seen, static_cast<std::int64_t>(batch.input_ids.size()));
    if (indices_log_) indices_log_->Add(state_.step, batch.indices);

    const StepLosses losses = ForwardBackward(batch);
    const ClippingResult gradients = engine_.MeasureGradients(
        scheduler_->Limits(SchedulePosition(), config_.max_grad_norm, config_.max_grad_norm_ratio));
    const double learning_rate = scheduler_->LearningRate(SchedulePosition());
    const Metrics of_parameters = ParameterMetricsOf(gradients);
    if (std::isfinite(losses.cross_entropy) && gradients.first_non_finite.empty()) {
      state_.extra[kUpdates] += 1.0;
      state_.extra[kSkippedInARow] = 0.0;
      engine_.Update(learning_rate, static_cast<std::int64_t>(state_.extra[kUpdates]));
      state_.current_train_loss = losses.cross_entropy;
      state_.min_train_loss = std::min(state_.min_train_loss, losses.cross_entropy);
    } else {
      SkipUpdate(losses, gradients);
    }
    Metrics metrics = MetricsOf(losses, gradients, learning_rate);
    metrics.Merge(of_parameters);
    return metrics;
  }

  StepLosses ForwardBackward(const Batch& batch) {
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

  void SkipUpdate(const StepLosses& losses, const ClippingResult& gradients) {
    state_.extra[kSkipped] += 1.0;
    const double in_a_row = state_.extra[kSkippedInARow] += 1.0;
    const std::string cause = gradients.first_non_finite.empty()
                                  ? std::string("no gradient is to blame")
                                  : fmt::format("the gradient of {} is not finite", gradients.first_non_finite);
    const std::string message = fmt::format("step {} is skipped, {} in a row: the loss is {}, {}", state_.step,
                                            static_cast<std::int64_t>(in_a_row), losses.cross_entropy, cause);
    console_.Warn(kLogger, message);
    if (in_a_row >= static_cast<double>(config_.max_skipped_steps)) {
      throw TrainingError(message +
                          "; max_skipped_steps is reached. A lower learning rate, a longer warm-up or "
                          "max_grad_norm may help");
    }
  }

  /// At the steps of metrics_log_interval, what OLMo logs of every parameter before the update.
  Metrics ParameterMetricsOf(const ClippingResult& gradients) {
    Metrics metrics;
    const std::optional<std::int64_t>& interval = config_.optimizer.metrics_log_interval;
    if (!interval || state_.step % *interval != 0) return metrics;
    metrics.Set("optim/clipping_rate", gradients.clipping_rate);
    for (std::size_t p = 0; p < gradients.averages.size(); ++p) {
      metrics.Set("optim/grad_norm_exp_avg/" + engine_.model().parameters()[p].name, gradients.averages[p]);
    }
    for (const ParameterMetrics::Metric& metric : engine_.MeasureParameters()) {
      metrics.Set("optim/" + metric.name, metric.value);
    }
    return metrics;
  }

  Metrics MetricsOf(const StepLosses& losses, const ClippingResult& gradients, double learning_rate) {
    Metrics metrics;
    metrics.Set("optim/total_grad_norm", gradients.total_norm);
    metrics.Set("optim/learning_rate_group0", learning_rate);
    metrics.Set("optim/learning_rate_group1", learning_rate);
    metrics.Set("train/CrossEntropyLoss", losses.cross_entropy);
    metrics.Set("train/Perplexity", std::exp(losses.cross_entropy));
    if (config_.softmax_auxiliary_loss) metrics.Set("train/ZLoss", losses.z);
    if (state_.extra.at(kSkipped) > 0.0) metrics.Set("train/skipped_steps", state_.extra.at(kSkipped));
    metrics.Merge(speed_.Check());
    if (state_.step < 3 || state_.step % 10 == 0) {
      metrics.Set("System/Peak CPU Memory (MB)", PeakMemoryMegabytes());
      if (engine_.context().backend()) {
        const std::int64_t bytes = engine_.Used().Total() + engine_.context().workspace_bytes();
        metrics.Set("System/Peak GPU Memory (MB)", static_cast<double>(bytes) / 1e6);
      }
    }
    return metrics;
  }

  void ReportStep(const Metrics& metrics, bool log) {
    if (log) console_.Info(kLogger, FormatConsole(state_.step, max_steps_, state_.epoch, metrics));
    console_.ShowProgress(FormatProgress({.step = state_.step,
                                          .max_steps = last_step_,
                                          .loss = metrics.Find("train/CrossEntropyLoss"),
                                          .tokens_per_second = metrics.Find("throughput/device/tokens_per_second"),
                                          .steps_per_second = metrics.Find("throughput/device/batches_per_second")}));
  }

  /// Whether the time limit or early stopping ends the run: then a checkpoint is saved now, and no later one.
  bool CheckCanceled(std::chrono::steady_clock::time_point start) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::string reason;
    std::int64_t extra_steps = 0;
    if (config_.time_limit && seconds >= *config_.time_limit) {
      reason = "time_limit is reached";
      extra_steps = config_.extra_steps_after_cancel;
    } else if (config_.early_stopping_factor && SchedulePosition() > config_.scheduler.t_warmup &&
               state_.current_train_loss > *config_.early_stopping_factor * state_.min_train_loss) {
      reason = fmt::format("the loss {} is above early_stopping_factor times the least one, {}",
                           state_.current_train_loss, state_.min_train_loss);
    } else {
      return false;
    }
    console_.Warn(kLogger, fmt::format("{}: saving, then {} more steps", reason, extra_steps));
    Save(SaveKind::kSharded);
    last_step_ = std::min(last_step_, state_.step + extra_steps);
    return true;
  }

  // Evaluation.

  Metrics Evaluate() {
    Metrics metrics;
    for (Evaluator& evaluator : evaluators_) {
      console_.Info(kLogger, fmt::format("Running evaluation for '{}'...", evaluator.label()));
      const Metrics of_evaluator = evaluator.Run(engine_, [&](std::int64_t done) {
        console_.ShowProgress(fmt::format("eval {}  batch {}/{}", evaluator.label(), done, evaluator.batch_count()));
      });
      console_.Info(kLogger, fmt::format("{}\n{}", evaluator.label(), FormatMetrics(of_evaluator)));
      metrics.Merge(of_evaluator);
    }
    speed_.Clear();
    return metrics;
  }

  void RecordEvaluation() {
    if (!evaluators_.empty()) metrics_file_->Write(state_.step, Evaluate());
  }

  // Checkpoints.

  void FlushRecords() {
    metrics_file_->Flush();
    if (indices_log_) indices_log_->Flush();
  }

  void Save(SaveKind kind) {
    FlushRecords();
    folder_.Save(kind, engine_, state_);
    last_save_ = state_.step;
    speed_.Clear();
  }

  /// The checkpoint of step 0, read back at once: whoever cannot save or load learns it now.
  void SaveAndReload() {
    Save(SaveKind::kSharded);
    const CheckpointReader reader(config_.save_folder + "/" + CheckpointName{.step = state_.step}.text());
    LoadParameters(reader, engine_);
    LoadOptimizerState(reader, engine_);
  }

  static bool IsDue(std::int64_t step, const std::optional<std::int64_t>& interval) {
    return interval && *interval > 0 && step % *interval == 0;
  }

  void SaveIfDue() {
    if (IsDue(state_.step, config_.save_interval) && config_.save_num_checkpoints_to_keep != 0) {
      Save(SaveKind::kSharded);
    } else if (IsDue(state_.step, config_.save_interval_ephemeral)) {
      Save(SaveKind::kEphemeral);
    }
    if (IsDue(state_.step, config_.save_interval_unsharded) && config_.save_num_unsharded_checkpoints_to_keep != 0) {
      Save(SaveKind::kUnsharded);
    }
  }

  void SaveAtTheEnd() {
    if (last_save_ == state_.step) return;
    const bool sharded = stop_.requested() || config_.save_num_checkpoints_to_keep != 0;
    if (sharded) {
      Save(SaveKind::kSharded);
    } else if (config_.save_interval_unsharded) {
      Save(SaveKind::kUnsharded);
    }
  }

  StopSignal stop_;
  TrainConfig config_;
  Console console_;
  MemMapDataset dataset_;
  ComputeDevice device_;  // its context is the engine's
  SaveFolder folder_;
  Engine engine_;
  SpeedMonitor speed_;
  std::vector<Evaluator> evaluators_;
  std::unique_ptr<DataLoader> loader_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<MetricsFile> metrics_file_;
  std::unique_ptr<DataIndexLog> indices_log_;
  TrainerState state_;
  std::int64_t max_steps_ = 0;
  std::int64_t last_step_ = 0;
  std::int64_t last_save_ = -1;
  bool described_device_ = false;
  std::vector<std::int32_t> labels_;
};

}  // namespace

TrainOutcome RunTraining(const TrainConfig& config, const TrainOptions& options) {
  return Trainer(config, options).Run();
}

}  // namespace coat
