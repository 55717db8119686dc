#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "config/load.h"
#include "config/text.h"
#include "config/validate.h"
#include "evaluate/evaluate.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/validation_output.h"

namespace coat {

namespace {

namespace fs = std::filesystem;

/// What is measured of a task that the command line names.
const std::vector<TaskMetric> kAllMetrics = {TaskMetric::kAcc, TaskMetric::kLenNorm, TaskMetric::kCeLoss,
                                             TaskMetric::kBpb, TaskMetric::kSoft,    TaskMetric::kSoftLog};

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find(separator, begin)) != std::string::npos; begin = end + 1) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

/// An evaluator of "label=file,file".
EvaluatorConfig EvaluatorOf(const std::string& option, const std::string& text) {
  const std::size_t equals = text.find('=');
  EvaluatorConfig evaluator;
  evaluator.label = text.substr(0, equals);
  if (equals == std::string::npos || evaluator.label.empty() || equals + 1 == text.size()) {
    throw UsageError(fmt::format("{}: found {}; accepted: LABEL=FILE,FILE,...", option, text));
  }
  const std::vector<std::string> files = Split(text.substr(equals + 1), ',');
  (option == "--requests" ? evaluator.requests : evaluator.data.paths) = files;
  if (option == "--requests") evaluator.type = EvaluatorType::kDownstream;
  return evaluator;
}

std::vector<TaskMetric> MetricsOf(const std::string& text) {
  std::vector<TaskMetric> metrics;
  for (const std::string& word : Split(text, ',')) {
    std::vector<std::string> accepted;
    const std::size_t before = metrics.size();
    for (const auto& [metric, name] : NamesOf(TaskMetric{})) {
      accepted.emplace_back(name);
      if (name == word) metrics.push_back(metric);
    }
    if (metrics.size() == before) {
      throw UsageError(fmt::format("--metrics: found {}; accepted: {}", word, Joined(accepted, ", ")));
    }
  }
  return metrics;
}

/// The evaluators of the command line in the place of the configuration's, if it has any.
void ApplyOptions(const EvalArguments& arguments, TrainConfig& config) {
  if (!arguments.data.empty() || !arguments.requests.empty()) config.evaluators.clear();
  for (const std::string& text : arguments.data) {
    config.evaluators.push_back(EvaluatorOf("--data", text));
    config.evaluators.back().data.memmap_dtype = config.data.memmap_dtype;
  }
  for (const std::string& text : arguments.requests) {
    config.evaluators.push_back(EvaluatorOf("--requests", text));
    config.evaluators.back().metrics = kAllMetrics;
  }
  const auto is_task = [](const EvaluatorConfig& evaluator) { return evaluator.type == EvaluatorType::kDownstream; };
  if (!arguments.metrics.empty() && std::none_of(config.evaluators.begin(), config.evaluators.end(), is_task)) {
    throw UsageError("eval: --metrics are those of tasks, and there is no task; accepted: --requests with it");
  }
  for (EvaluatorConfig& evaluator : config.evaluators) {
    if (arguments.recipe) evaluator.recipe = *arguments.recipe;
    if (!arguments.metrics.empty() && is_task(evaluator)) {
      evaluator.metrics = MetricsOf(arguments.metrics);
    }
  }
}

struct Source {
  std::string config;
  std::optional<std::string> checkpoint;  // none: the configuration says which
};

Source SourceOf(const std::string& path) {
  std::error_code unreadable;  // is reported where it is read
  if (fs::status(path, unreadable).type() == fs::file_type::not_found) {
    throw UsageError(fmt::format(
        "eval: {}: No such file or directory; accepted: a checkpoint (a folder with train.json and config.yaml), or a "
        "configuration (a YAML file)",
        path));
  }
  if (!fs::is_directory(path)) return {path, std::nullopt};
  const auto has = [&](const char* name) { return fs::exists(fs::path(path) / name); };
  if (IsWholeCheckpoint(path)) return {(fs::path(path) / kConfigFile).string(), path};
  std::string hint = "a folder with train.json and config.yaml, or a configuration";
  if (has("latest")) hint = (fs::path(path) / "latest").string();
  if (has("config.json") || has("model.pt")) {
    hint = fmt::format("a checkpoint; `coat convert {} OUT` makes one of it", path);
  }
  throw UsageError(fmt::format("eval: {} is not a checkpoint; accepted: {}", path, hint));
}

/// Keys that would choose another checkpoint or other data, and choose nothing where a checkpoint is named.
void RefuseKeysOfTraining(const Sources& sources, const std::string& checkpoint) {
  for (const char* key : {"load_path", "try_load_latest_save"}) {
    if (!sources.IsOnCommandLine(key)) continue;
    throw UsageError(
        fmt::format("eval: --{} has no effect beside the checkpoint {}; accepted: a configuration (a YAML "
                    "file) with it, or the checkpoint alone",
                    key, checkpoint));
  }
  for (const char* key : {"data.paths", "data.datasets"}) {
    if (!sources.IsOnCommandLine(key)) continue;
    throw UsageError(
        fmt::format("eval: --{} is what is trained on; accepted: --data LABEL=FILE,FILE,... to evaluate on", key));
  }
}

/// The checkpoint that training would start from.
std::string CheckpointOf(const TrainConfig& config, const std::string& file) {
  if (config.try_load_latest_save) {
    if (const LatestCheckpoint latest = FindLatestCheckpoint(config.save_folder); latest.path) return *latest.path;
  }
  if (config.load_path) return *config.load_path;
  throw ConfigError(
      fmt::format("{}: load_path: required to evaluate a configuration; accepted: a checkpoint, or "
                  "try_load_latest_save with checkpoints in save_folder",
                  file));
}

/// What an evaluation reads.
std::vector<std::string> InputsOf(const TrainConfig& config, const std::string& config_file,
                                  const std::string& checkpoint) {
  std::vector<std::string> inputs = {config_file};
  const auto add = [&](const std::optional<std::vector<std::string>>& files) {
    if (files) inputs.insert(inputs.end(), files->begin(), files->end());
  };
  for (const EvaluatorConfig& evaluator : config.evaluators) {
    add(evaluator.requests);
    add(evaluator.data.paths);
    add(evaluator.data.label_mask_paths);
    if (!evaluator.data.datasets) continue;
    for (const auto& [label, files] : *evaluator.data.datasets) add(files);
  }
  std::error_code unreadable;  // is reported where the checkpoint is read
  for (const fs::directory_entry& file : fs::directory_iterator(checkpoint, unreadable)) {
    inputs.push_back(file.path().string());
  }
  return inputs;
}

void WriteText(AtomicFile& file, const std::string& text) {
  file.Write(std::as_bytes(std::span(text)));
  file.Commit();
}

}  // namespace

int RunEvalCommand(const EvalArguments& arguments) {
  if (!arguments.output.empty() && !arguments.details.empty() &&
      fs::weakly_canonical(arguments.output) == fs::weakly_canonical(arguments.details)) {
    throw UsageError(fmt::format("eval: {} is given both for --output and for --details", arguments.output));
  }
  const Source source = SourceOf(arguments.config.file);
  TrainConfig config = source.checkpoint ? ParseTrainConfig(CheckpointReader(*source.checkpoint).ReadFile(kConfigFile),
                                                            source.config, arguments.config.overrides)
                                         : LoadTrainConfig(source.config, arguments.config.overrides);
  if (source.checkpoint) RefuseKeysOfTraining(config.sources, *source.checkpoint);
  ApplyOptions(arguments, config);
  PrintValidation(Validate(config, {.needs_data = false, .needs_evaluation_data = true}));
  const std::string checkpoint = source.checkpoint ? *source.checkpoint : CheckpointOf(config, source.config);
  for (const std::string& input : InputsOf(config, source.config, checkpoint)) {
    RefuseOutputThatIsInput(arguments.output, input);
    RefuseOutputThatIsInput(arguments.details, input);
  }
  std::optional<AtomicFile> output;
  std::optional<AtomicFile> details;
  if (!arguments.output.empty()) output.emplace(arguments.output, arguments.overwrite);
  if (!arguments.details.empty()) details.emplace(arguments.details, arguments.overwrite);

  // Results go to standard output, so progress is shown where errors are.
  Console console(DetectConsole(STDERR_FILENO));
  const EvaluationReport report = Evaluate(config, checkpoint, arguments.device, console);
  console.ClearProgress();
  Print(report.Table());
  if (output) WriteText(*output, report.Json());
  if (details) WriteText(*details, Joined(report.details, "\n") + (report.details.empty() ? "" : "\n"));
  return kExitSuccess;
}

}  // namespace coat
