#include "train/trainer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/number_text.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "comm/agreement.h"
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
#include "train/run_data.h"
#include "train/run_description.h"
#include "train/run_profiler.h"
#include "train/run_records.h"
#include "train/run_schedule.h"
#include "train/run_start.h"
#include "train/run_stop.h"
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
    data_.emplace(config_, dataset_, take_over.batches_to_skip, ranks_, state_);
    schedule_.emplace(config_, data_->batches_per_epoch(), take_over.warm_up_again, state_);
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

  TrainOutcome Fit() {
    stop_.emplace(config_, signal_, folder_, ranks_, console_);
    const std::int64_t first_step = state_.step;
    if (benchmark_) {
      benchmark_end_ = state_.step + kBenchmarkSteps;
      console_.Warn(kLogger, Announce(*benchmark_, benchmark_end_));
    }
    const bool from_elsewhere = folder_.checkpoint_to_load() && !folder_.resumes_here();
    for (const std::string& line :
         WarningsAtStart(config_, state_.step, schedule_->last_step(), benchmark_, from_elsewhere)) {
      console_.Warn(kLogger, line);
    }
    if (state_.step < schedule_->last_step()) Log(DescribeFirstStep(engine_));
    while (state_.step < schedule_->last_step() && !stop_->IsSignaled(state_) && !BenchmarkIsOver()) {
      StepAndWhatFollows();
      profiler_->StepEnded(state_.step);
    }
    profiler_->RunEnded(state_.step);
    const bool is_saved = state_.step == first_step && EndIsSaved(config_, state_);
    if (!stop_->is_canceled() && !BenchmarkIsOver() && !is_saved) {
      Save(SavesAtTheEnd(config_, state_, stop_->IsSignaled(state_)));
    }
    records_->Flush();
    console_.ClearProgress();
    return Finish();
  }

  /// A step, and what is due after it: metrics, a look at the time, evaluation, checkpoints.
  void StepAndWhatFollows() {
    const ProfileSpan span(engine_.context(), "step", state_.step + 1);
    const StepReport report = Step();
    const bool fails = !report.failure.empty();
    if (!described_device_) Log(DescribeDeviceUse(engine_));
    described_device_ = true;
    const bool log = state_.step % config_.console_log_interval == 0 || IsLastStep() || fails;
    const bool evaluate = state_.step % config_.eval_interval == 0 || IsLastStep();
    ReportStep(report.step, log);
    if (fails || BenchmarkIsOver()) return EndRightHere(report);
    const bool was_canceled = stop_->is_canceled();
    if (!was_canceled && !IsLastStep() && state_.step % config_.canceled_check_interval == 0) {
      stop_->CheckCanceled(state_, *schedule_);
    }
    Metrics logged = log ? report.step : Metrics();
    logged.Merge(report.parameters);
    if (evaluate && !was_canceled) EvaluateUnlessStopped(logged);
    records_->AddMetrics(state_.step, logged);
    if (was_canceled) return;
    Save(stop_->is_canceled() ? std::vector{SaveKind::kSharded} : SavesDue(config_, state_.step));
  }

  /// Of a run that fails or was a benchmark, the last step is in the metrics whether it is one that is logged or not.
  void EndRightHere(StepReport report) {
    report.step.Merge(report.parameters);
    records_->AddMetrics(state_.step, report.step);
    if (!report.failure.empty()) throw OfAllRanks(TrainingError(report.failure));
    Log(DescribeBenchmark(*benchmark_, report.step, engine_));
  }

  TrainOutcome Finish() {
    const bool is_signaled = stop_->IsSignaled(state_);
    if (is_signaled || stop_->is_canceled()) {
      console_.Info(kLogger, stop_->Describe(state_.step, LastSaved(state_)));
      return is_signaled || !stop_->is_final() ? TrainOutcome::kStopped : TrainOutcome::kFinished;
    }
    console_.Info(kLogger, fmt::format("Finished at step {}: {} tokens", state_.step, WithCommas(state_.tokens_seen)));
    return TrainOutcome::kFinished;
  }

  bool BenchmarkIsOver() const { return benchmark_ && state_.step == benchmark_end_; }

  bool IsLastStep() const { return state_.step == schedule_->last_step(); }

  /// One optimizer step; its metrics, with speed and memory.
  StepReport Step() {
    const Batch& batch = NextBatch();
    speed_.StartBatch(state_.tokens_seen, static_cast<std::int64_t>(batch.input_ids.size()));
    records_->AddBatch(state_.step, batch);
    StepReport report = step_.Run(batch, *schedule_, state_);
    report.step.Merge(speed_.Check());
    report.step.Merge(SystemMetricsOf(state_.step, engine_));
    return report;
  }

  const Batch& NextBatch() {
    const ProfileSpan span(engine_.context(), "data");
    return data_->Next(state_);
  }

  void ReportStep(const Metrics& metrics, bool log) {
    if (log) console_.Info(kLogger, FormatConsole(state_.step, schedule_->max_steps(), state_.epoch, metrics));
    console_.ShowProgress(FormatProgress({.step = state_.step,
                                          .max_steps = schedule_->last_step(),
                                          .loss = metrics.Find("train/CrossEntropyLoss"),
                                          .tokens_per_second = metrics.Find("throughput/device/tokens_per_second"),
                                          .steps_per_second = metrics.Find("throughput/device/batches_per_second")}));
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
    if (stop_->IsSignaled(state_) || stop_->is_canceled()) {
      if (!stop_->is_final()) state_.extra.evaluation_due = true;
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

  StopSignal signal_;
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
  std::optional<RunData> data_;
  std::optional<RunSchedule> schedule_;
  std::optional<RunRecords> records_;
  std::optional<RunProfiler> profiler_;
  std::optional<RunStop> stop_;
  std::int64_t benchmark_end_ = 0;
  bool described_device_ = false;
};

}  // namespace

TrainOutcome RunTraining(const TrainConfig& config, const TrainOptions& options, Communicator& ranks) {
  RequireSameRun(config, ranks);
  return Trainer(WithReplicas(config, ranks), options, ranks).Run();
}

}  // namespace coat
