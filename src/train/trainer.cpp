#include "train/trainer.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "data/loader.h"
#include "train/cancellation.h"
#include "train/console.h"
#include "train/data_options.h"
#include "train/engine.h"
#include "train/progress.h"
#include "train/run_checkpoint.h"
#include "train/run_description.h"
#include "train/run_evaluation.h"
#include "train/run_records.h"
#include "train/run_schedule.h"
#include "train/run_start.h"
#include "train/save_folder.h"
#include "train/save_schedule.h"
#include "train/speed_monitor.h"
#include "train/step_metrics.h"
#include "train/stop_signal.h"
#include "train/train_step.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

/// The loop of a run, in OLMo's order: batch, step, metrics, evaluation, checkpoints.
class Trainer {
 public:
  Trainer(const TrainConfig& config, const TrainOptions& options)
      : config_(config),
        console_(DetectConsole(1)),
        dataset_(DatasetOptionsOf(config.model, config.data, "data")),
        device_(OpenComputeDevice(ForConfig(options.device, config_))),
        folder_(config_, console_),
        engine_(config_, std::move(device_.context)),
        step_(config_, engine_, console_),
        speed_(config.speed_monitor.window_size, TrainingFlopsPerToken(config.model)),
        evaluation_(config_) {}

  TrainOutcome Run() {
    Log(DescribeRun(config_, device_.description, engine_, dataset_));
    const TakeOver take_over = TakeOverOf(config_, folder_);
    state_ = StartRun(config_, folder_, take_over, engine_, console_);
    if (folder_.resumes_here()) last_save_ = state_.step;
    MakeLoader(take_over.batches_to_skip);
    schedule_.emplace(config_, loader_->batches_per_epoch(), take_over.warm_up_again, state_);
    if (config_.dry_run) {
      console_.Info(kLogger, "Dry run: nothing trained, nothing written");
      return TrainOutcome::kFinished;
    }
    folder_.WriteConfig();
    records_.emplace(config_, folder_.resumes_here() ? state_.step : 0, folder_.may_overwrite());
    if (!folder_.checkpoint_to_load() && !config_.no_pre_train_checkpoint) SaveAndReload();
    if (config_.force_save_unsharded) Save(SaveKind::kUnsharded);
    if (config_.eval_on_load && folder_.checkpoint_to_load() && state_.step > 0) {
      records_->AddMetrics(state_.step, Evaluate());
    }
    return Fit();
  }

 private:
  void Log(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) console_.Info(kLogger, line);
  }

  void MakeLoader(std::int64_t batches_to_skip) {
    LoaderOptions options;
    options.seed = static_cast<std::uint64_t>(config_.data.seed.value_or(config_.seed));
    options.global_batch_size = config_.global_train_batch_size;
    options.drop_last = config_.data.drop_last;
    options.fast_forward_batches = batches_to_skip;
    loader_ =
        std::make_unique<DataLoader>(dataset_, options, DataPosition{state_.epoch, state_.examples_seen_this_epoch});
  }

  TrainOutcome Fit() {
    const auto start = std::chrono::steady_clock::now();
    bool canceled = false;
    while (state_.step < schedule_->last_step() && !stop_.requested()) {
      const Metrics metrics = Step();
      if (!described_device_) Log(DescribeDeviceUse(engine_));
      described_device_ = true;
      const bool log = state_.step % config_.console_log_interval == 0 || IsLastStep();
      ReportStep(metrics, log);
      if (!canceled && state_.step % config_.canceled_check_interval == 0) canceled = CheckCanceled(start);
      Metrics logged = log ? metrics : Metrics();
      const bool evaluate = state_.step % config_.eval_interval == 0 || IsLastStep();
      if (evaluate && !canceled && !stop_.requested()) logged.Merge(Evaluate());
      records_->AddMetrics(state_.step, logged);
      if (!canceled) Save(SavesDue(config_, state_.step));
    }
    if (!canceled && last_save_ != state_.step) Save(SavesAtTheEnd(config_, stop_.requested()));
    records_->Flush();
    console_.ClearProgress();
    return Finish();
  }

  TrainOutcome Finish() {
    if (stop_.requested()) {
      console_.Info(kLogger, fmt::format("Stopped by a signal after step {}; --try_load_latest_save goes on from there",
                                         state_.step));
      return TrainOutcome::kStoppedBySignal;
    }
    console_.Info(kLogger,
                  fmt::format("Finished at step {}: {} tokens", state_.step, WithSeparators(state_.tokens_seen)));
    return TrainOutcome::kFinished;
  }

  bool IsLastStep() const { return state_.step == schedule_->last_step(); }

  /// One optimizer step; its metrics.
  Metrics Step() {
    const Batch& batch = loader_->Next();
    state_.step += 1;
    state_.examples_seen += config_.global_train_batch_size;
    state_.tokens_seen += TokensPerStep(config_);
    state_.epoch = loader_->position().epoch;
    state_.examples_seen_this_epoch = loader_->position().examples_seen_this_epoch;
    speed_.StartBatch(state_.tokens_seen, static_cast<std::int64_t>(batch.input_ids.size()));
    records_->AddBatch(state_.step, batch);
    const StepReport report = step_.Run(batch, *schedule_, state_);
    Metrics metrics = report.step;
    metrics.Merge(speed_.Check());
    metrics.Merge(SystemMetricsOf(state_.step, engine_));
    metrics.Merge(report.parameters);
    return metrics;
  }

  void ReportStep(const Metrics& metrics, bool log) {
    if (log) console_.Info(kLogger, FormatConsole(state_.step, schedule_->max_steps(), state_.epoch, metrics));
    console_.ShowProgress(FormatProgress({.step = state_.step,
                                          .max_steps = schedule_->last_step(),
                                          .loss = metrics.Find("train/CrossEntropyLoss"),
                                          .tokens_per_second = metrics.Find("throughput/device/tokens_per_second"),
                                          .steps_per_second = metrics.Find("throughput/device/batches_per_second")}));
  }

  /// Whether the run ends early: then a checkpoint is saved now, and no later one.
  bool CheckCanceled(std::chrono::steady_clock::time_point start) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const std::optional<Cancellation> cancellation =
        CheckCancellation(config_, state_, schedule_->Position(state_), seconds);
    if (!cancellation) return false;
    console_.Warn(kLogger,
                  fmt::format("{}: saving, then {} more steps", cancellation->reason, cancellation->extra_steps));
    Save(SaveKind::kSharded);
    schedule_->StopAfter(state_.step + cancellation->extra_steps);
    return true;
  }

  Metrics Evaluate() {
    if (evaluation_.empty()) return {};
    Metrics metrics = evaluation_.Run(engine_, console_);
    speed_.Clear();
    return metrics;
  }

  void Save(SaveKind kind) {
    records_->Flush();
    folder_.Save(kind, engine_, state_);
    last_save_ = state_.step;
    speed_.Clear();
  }

  void Save(const std::vector<SaveKind>& kinds) {
    for (const SaveKind kind : kinds) Save(kind);
  }

  /// The checkpoint of step 0, read back at once: whoever cannot save or load learns it now.
  void SaveAndReload() {
    Save(SaveKind::kSharded);
    const CheckpointReader reader(config_.save_folder + "/" + CheckpointName{.step = state_.step}.text());
    LoadParameters(reader, engine_);
    LoadOptimizerState(reader, engine_);
  }

  StopSignal stop_;
  TrainConfig config_;
  Console console_;
  MemMapDataset dataset_;
  ComputeDevice device_;  // its context is the engine's
  SaveFolder folder_;
  Engine engine_;
  TrainStep step_;
  SpeedMonitor speed_;
  RunEvaluation evaluation_;
  TrainerState state_;
  std::unique_ptr<DataLoader> loader_;
  std::optional<RunSchedule> schedule_;
  std::optional<RunRecords> records_;
  std::int64_t last_save_ = -1;
  bool described_device_ = false;
};

}  // namespace

TrainOutcome RunTraining(const TrainConfig& config, const TrainOptions& options) {
  return Trainer(config, options).Run();
}

}  // namespace coat
