#include "train/trainer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/number_text.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "comm/agreement.h"
#include "data/loader.h"
#include "data/order.h"
#include "engine/engine.h"
#include "engine/rank_machines.h"
#include "engine/run_checkpoint.h"
#include "evaluate/data_options.h"
#include "evaluate/run_evaluation.h"
#include "output/console.h"
#include "output/progress.h"
#include "output/speed_monitor.h"
#include "output/stop_signal.h"
#include "train/benchmark.h"
#include "train/cancellation.h"
#include "train/run_description.h"
#include "train/run_profiler.h"
#include "train/run_records.h"
#include "train/run_schedule.h"
#include "train/run_start.h"
#include "train/same_run.h"
#include "train/save_folder.h"
#include "train/save_schedule.h"
#include "train/step_metrics.h"
#include "train/train_step.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

/// With a copy of the model on each machine where a hybrid strategy is not told how many: as OLMo.
TrainConfig WithReplicas(TrainConfig config, Communicator& ranks) {
  if (config.fsdp && ranks.size() > 1 && !config.fsdp->hybrid_sharding_num_model_replicas &&
      IsHybrid(config.fsdp->sharding_strategy)) {
    config.fsdp->hybrid_sharding_num_model_replicas = MachineCount(ranks);
  }
  return config;
}

/// Rank 0 speaks for all, in plain lines: mpirun gives it a terminal even where its own output goes to a file.
ConsoleOptions ConsoleOf(const Communicator& ranks) {
  if (ranks.size() == 1) return DetectConsole(1);
  return {.is_silent = ranks.rank() != 0};
}

/// The loop of a run, in OLMo's order: batch, step, metrics, evaluation, checkpoints.
///
/// What is decided here is decided alike on all ranks: by the state, which is the same on all of them, or by a
/// collective.
class Trainer {
 public:
  Trainer(const TrainConfig& config, const TrainOptions& options, Communicator& ranks)
      : config_(config),
        ranks_(ranks),
        console_(ConsoleOf(ranks)),
        dataset_(
            MadeTogether(ranks, [&] { return MemMapDataset(DatasetOptionsOf(config.model, config.data, "data")); })),
        device_(OpenDeviceOf(config_, options.device, ranks)),
        folder_(config_, console_, ranks),
        engine_(config_, std::move(device_.context), device_.ranks ? *device_.ranks : ranks),
        step_(config_, folder_.may_overwrite(), engine_, console_),
        speed_(config.speed_monitor.window_size, TrainingFlopsPerToken(config.model)),
        evaluation_(MadeTogether(ranks, [&] { return RunEvaluation(config_); })),
        benchmark_(AgreedBenchmark(ranks)) {}

  TrainOutcome Run() {
    Log(DescribeRun(config_, device_.description, engine_, dataset_));
    Together(ranks_, [&] { evaluation_.CheckData(ranks_); });
    if (!device_.advice.empty()) console_.Warn(kLogger, device_.advice);
    const TakeOver take_over = TakeOverOf(config_, folder_);
    state_ = StartRun(config_, folder_, take_over, engine_, console_);
    MakeLoader(take_over.batches_to_skip);
    schedule_.emplace(config_, loader_->batches_per_epoch(), take_over.warm_up_again, state_);
    if (config_.dry_run) return DryRun();
    folder_.WriteConfig();
    folder_.FinishLastSave(state_);
    folder_.KeepEarlierRecords();
    records_.emplace(config_, folder_.resumes_here() ? state_.step : 0, folder_.may_overwrite(), ranks_, console_);
    profiler_.emplace(config_, folder_.may_overwrite(), engine_, console_);
    if (!folder_.checkpoint_to_load() && !config_.no_pre_train_checkpoint) SaveAndReload();
    if (UnshardedIsDueAtStart(config_, state_, folder_.resumes_here())) Save(SaveKind::kUnsharded);
    EvaluateAtStart();
    return Fit();
  }

 private:
  /// Trains nothing, and writes nothing but the checkpoint that force_save_unsharded asks for.
  TrainOutcome DryRun() {
    if (UnshardedIsDueAtStart(config_, state_, folder_.resumes_here())) Save(SaveKind::kUnsharded);
    console_.Info(kLogger, config_.force_save_unsharded ? "Dry run: nothing trained"
                                                        : "Dry run: nothing trained, nothing written");
    return TrainOutcome::kFinished;
  }

  void Log(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) console_.Info(kLogger, line);
  }

  void MakeLoader(std::int64_t batches_to_skip) {
    LoaderOptions options;
    options.seed = static_cast<std::uint64_t>(config_.data.seed.value_or(config_.seed));
    options.global_batch_size = config_.global_train_batch_size;
    options.rank = ranks_.rank();
    options.world_size = ranks_.size();
    options.drop_last = config_.data.drop_last;
    options.fast_forward_batches = batches_to_skip;
    DataPosition start = {state_.epoch, state_.examples_seen_this_epoch};
    // The ranks that saved may have filled up the end of the epoch by more sequences than these do.
    const std::int64_t filled = EpochSize(static_cast<int>(state_.world_size));
    if (start.examples_seen_this_epoch <= filled) {
      start.examples_seen_this_epoch = std::min(start.examples_seen_this_epoch, EpochSize(ranks_.size()));
    }
    loader_ = MadeTogether(ranks_, [&] { return std::make_unique<DataLoader>(dataset_, options, start); });
    TakeOverPosition();
  }

  /// Sequences of an epoch for so many ranks.
  std::int64_t EpochSize(int ranks) const {
    return OrderSize(
        {.sequence_count = dataset_.sequence_count(), .world_size = ranks, .drop_last = config_.data.drop_last});
  }

  TrainOutcome Fit() {
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t first_step = state_.step;
    if (benchmark_) {
      benchmark_end_ = state_.step + kBenchmarkSteps;
      console_.Warn(kLogger, Announce(*benchmark_, benchmark_end_));
    } else if (SavesAtTheEnd(config_, TrainerState(), /*stopped=*/false).empty()) {
      console_.Warn(kLogger,
                    "no checkpoint is saved at the end of the run (save_num_checkpoints_to_keep: 0, and no "
                    "save_interval_unsharded)");
    }
    if (state_.step >= schedule_->last_step()) WarnOfNothingToDo();
    const std::shared_ptr<Device>& device = engine_.context().backend();
    if (device && device->ExportTuning().empty() && state_.step < schedule_->last_step()) {
      console_.Info(kLogger, "The first step takes longer: it times the algorithms of its matrix products");
    }
    while (state_.step < schedule_->last_step() && !StopRequested() && !BenchmarkIsOver()) {
      StepAndWhatFollows(start);
      profiler_->StepEnded(state_.step);
    }
    profiler_->RunEnded(state_.step);
    const bool is_saved = state_.step == first_step && EndIsSaved(config_, state_);
    if (!cancellation_ && !BenchmarkIsOver() && !is_saved) {
      Save(SavesAtTheEnd(config_, state_, StopRequested()));
    }
    records_->Flush();
    console_.ClearProgress();
    return Finish();
  }

  void WarnOfNothingToDo() {
    const bool is_other_run = folder_.checkpoint_to_load() && !folder_.resumes_here();
    console_.Warn(kLogger,
                  fmt::format("no step is left to train: the run begins at step {} and ends at step {} (max_duration, "
                              "stop_at){}",
                              state_.step, schedule_->last_step(),
                              is_other_run ? "; --reset_trainer_state begins at step 0" : ""));
  }

  /// A step, and what is due after it: metrics, a look at the time, evaluation, checkpoints.
  void StepAndWhatFollows(std::chrono::steady_clock::time_point start) {
    const ProfileSpan span(engine_.context(), "step", state_.step + 1);
    const StepReport report = Step();
    const bool fails = !report.failure.empty();
    if (!described_device_) Log(DescribeDeviceUse(engine_));
    described_device_ = true;
    const bool log = state_.step % config_.console_log_interval == 0 || IsLastStep() || fails;
    const bool evaluate = state_.step % config_.eval_interval == 0 || IsLastStep();
    ReportStep(report.step, log);
    if (fails || BenchmarkIsOver()) return EndRightHere(report);
    const bool was_canceled = cancellation_.has_value();
    if (!was_canceled && !IsLastStep() && state_.step % config_.canceled_check_interval == 0) CheckCanceled(start);
    Metrics logged = log ? report.step : Metrics();
    logged.Merge(report.parameters);
    if (evaluate && !was_canceled) EvaluateUnlessStopped(logged);
    records_->AddMetrics(state_.step, logged);
    if (was_canceled) return;
    Save(cancellation_ ? std::vector{SaveKind::kSharded} : SavesDue(config_, state_.step));
  }

  /// Of a run that fails or was a benchmark, the last step is in the metrics whether it is one that is logged or not.
  void EndRightHere(StepReport report) {
    report.step.Merge(report.parameters);
    records_->AddMetrics(state_.step, report.step);
    if (!report.failure.empty()) throw OfAllRanks(TrainingError(report.failure));
    Log(DescribeBenchmark(*benchmark_, report.step, engine_));
  }

  TrainOutcome Finish() {
    const bool is_signaled = StopRequested();
    if (is_signaled || cancellation_) {
      const bool is_final = !is_signaled && cancellation_->is_final;
      const std::int64_t saved = LastSaved(state_);
      console_.Info(kLogger, fmt::format("Stopped after step {}{}{}{}", state_.step,
                                         is_signaled ? " by a signal" : ", because " + cancellation_->reason,
                                         saved < 0 ? "" : fmt::format(": the checkpoint of step {} is saved", saved),
                                         saved < 0 || is_final ? "" : "; --try_load_latest_save goes on from there"));
      return is_final ? TrainOutcome::kFinished : TrainOutcome::kStopped;
    }
    console_.Info(kLogger, fmt::format("Finished at step {}: {} tokens", state_.step, WithCommas(state_.tokens_seen)));
    return TrainOutcome::kFinished;
  }

  /// Whether a signal has asked any rank to stop. All ranks ask together. Throws where the save folder is lost: what
  /// is trained from then on could not be saved.
  bool StopRequested() {
    if (stop_is_agreed_) return true;
    std::array<double, 2> found = {stop_.requested() ? 1.0 : 0.0, folder_.IsLost() ? 1.0 : 0.0};
    ranks_.AllReduce(found, Reduction::kMax);
    if (found[1] != 0.0) folder_.RequireUnmoved(state_);
    stop_is_agreed_ = found[0] != 0.0;
    return stop_is_agreed_;
  }

  bool BenchmarkIsOver() const { return benchmark_ && state_.step == benchmark_end_; }

  bool IsLastStep() const { return state_.step == schedule_->last_step(); }

  /// One optimizer step; its metrics, with speed and memory.
  StepReport Step() {
    const Batch& batch = NextBatch();
    state_.step += 1;
    state_.examples_seen += config_.global_train_batch_size;
    state_.tokens_seen += TokensPerStep(config_);
    TakeOverPosition();
    speed_.StartBatch(state_.tokens_seen, static_cast<std::int64_t>(batch.input_ids.size()));
    records_->AddBatch(state_.step, batch);
    StepReport report = step_.Run(batch, *schedule_, state_);
    report.step.Merge(speed_.Check());
    report.step.Merge(SystemMetricsOf(state_.step, engine_));
    return report;
  }

  void TakeOverPosition() {
    state_.epoch = loader_->position().epoch;
    state_.examples_seen_this_epoch = loader_->position().examples_seen_this_epoch;
  }

  const Batch& NextBatch() {
    const ProfileSpan span(engine_.context(), "data");
    return loader_->Next();
  }

  void ReportStep(const Metrics& metrics, bool log) {
    if (log) console_.Info(kLogger, FormatConsole(state_.step, schedule_->max_steps(), state_.epoch, metrics));
    console_.ShowProgress(FormatProgress({.step = state_.step,
                                          .max_steps = schedule_->last_step(),
                                          .loss = metrics.Find("train/CrossEntropyLoss"),
                                          .tokens_per_second = metrics.Find("throughput/device/tokens_per_second"),
                                          .steps_per_second = metrics.Find("throughput/device/batches_per_second")}));
  }

  /// If the run ends early, a checkpoint of this step is saved, and no later one.
  void CheckCanceled(std::chrono::steady_clock::time_point start) {
    std::array<double, 1> seconds = {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
    ranks_.AllReduce(seconds, Reduction::kMax);
    cancellation_ = CheckCancellation(config_, state_, schedule_->Position(state_), seconds[0]);
    if (!cancellation_) return;
    console_.Warn(kLogger,
                  fmt::format("{}: saving, then {} more steps", cancellation_->reason, cancellation_->extra_steps));
    schedule_->StopAfter(state_.step + cancellation_->extra_steps);
  }

  /// What a stop has left to do, unless the run has been here before and was stopped again, and what eval_on_load asks
  /// for.
  void EvaluateAtStart() {
    bool is_due = std::exchange(state_.extra.evaluation_due, false) && folder_.resumes_here();
    if (is_due) {
      std::array<double, 1> is_recorded = {records_->HasEvaluationAtStart() ? 1.0 : 0.0};
      ranks_.AllReduce(is_recorded, Reduction::kMax);
      is_due = is_recorded[0] == 0.0;
    }
    const bool is_asked_for = config_.eval_on_load && folder_.checkpoint_to_load() && state_.step > 0;
    if (is_due || is_asked_for) records_->AddMetricsAtStart(state_.step, Evaluate());
  }

  /// Who is to stop saves first: the run evaluates when it goes on, if it does.
  void EvaluateUnlessStopped(Metrics& logged) {
    if (StopRequested() || cancellation_) {
      if (!cancellation_ || !cancellation_->is_final) state_.extra.evaluation_due = true;
    } else {
      logged.Merge(Evaluate());
    }
  }

  Metrics Evaluate() {
    if (evaluation_.empty()) return {};
    const ProfileSpan span(engine_.context(), "evaluation");
    Metrics metrics = evaluation_.Run(engine_, engine_.ranks(), console_);
    speed_.Clear();
    return metrics;
  }

  void Save(SaveKind kind) {
    const ProfileSpan span(engine_.context(), "checkpoint");
    if (records_) records_->Flush();
    folder_.Save(kind, engine_, state_);
    speed_.Clear();
  }

  void Save(const std::vector<SaveKind>& kinds) {
    for (const SaveKind kind : kinds) Save(kind);
  }

  /// The checkpoint of step 0, read back at once: whoever cannot save or load learns it now.
  void SaveAndReload() {
    const bool sharded = config_.save_num_checkpoints_to_keep != 0;
    Save(sharded ? SaveKind::kSharded : SaveKind::kUnsharded);
    const std::string& name = (sharded ? state_.checkpoints : state_.unsharded_checkpoints).back();
    const auto reader = MadeTogether(ranks_, [&] { return CheckpointReader(config_.save_folder + "/" + name); });
    LoadParameters(reader, engine_);
    LoadOptimizerState(reader, engine_);
  }

  StopSignal stop_;
  TrainConfig config_;
  Communicator& ranks_;
  Console console_;
  MemMapDataset dataset_;
  ComputeDevice device_;  // its context is the engine's
  SaveFolder folder_;
  Engine engine_;
  TrainStep step_;
  SpeedMonitor speed_;
  RunEvaluation evaluation_;
  std::optional<Benchmark> benchmark_;
  TrainerState state_;
  std::unique_ptr<DataLoader> loader_;
  std::optional<RunSchedule> schedule_;
  std::optional<RunRecords> records_;
  std::optional<RunProfiler> profiler_;
  std::optional<Cancellation> cancellation_;  // from then on no checkpoints and evaluations any more
  bool stop_is_agreed_ = false;
  std::int64_t benchmark_end_ = 0;
  bool described_device_ = false;
};

}  // namespace

TrainOutcome RunTraining(const TrainConfig& config, const TrainOptions& options, Communicator& ranks) {
  RequireSameRun(config, ranks);
  return Trainer(WithReplicas(config, ranks), options, ranks).Run();
}

}  // namespace coat
