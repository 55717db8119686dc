#include "evaluate/evaluate.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/number_text.h"
#include "checkpoint/checkpoint_reader.h"
#include "comm/solo.h"
#include "engine/device_limits.h"
#include "engine/evaluation_engine.h"
#include "engine/memory_plan.h"
#include "engine/run_checkpoint.h"
#include "evaluate/run_evaluation.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.eval";

}  // namespace

EvaluationReport Evaluate(const TrainConfig& config, const std::string& checkpoint, const DeviceOptions& device,
                          Console& console) {
  if (config.evaluators.empty()) {
    throw ConfigError(
        "evaluators: there is nothing to evaluate; accepted: evaluators in the configuration, --data or --requests");
  }
  const CheckpointReader reader(checkpoint);
  for (const std::string& warning : CompareWithCheckpoint(config, reader)) console.Warn(kLogger, warning);
  RunEvaluation evaluation(config, kLogger);
  const std::unique_ptr<Communicator> alone = MakeSolo();
  evaluation.CheckData(*alone);
  ComputeDevice computer = OpenComputeDevice(ForConfig(device, config));
  RequireFp8EvaluationTokens(config, computer.context);
  console.Info(kLogger,
               fmt::format("Evaluating {} (step {}) on {}", checkpoint, reader.state().step, computer.description));
  if (!computer.advice.empty()) console.Warn(kLogger, computer.advice);
  EvaluationEngine engine(config, std::move(computer.context));
  console.Info(kLogger,
               fmt::format("Parameters: {}; memory: {}", WithCommas(CountParameters(engine.model().parameters())),
                           InBinaryUnits(EvaluationEngine::Measure(config).Total())));
  LoadParameters(reader, engine.context(), engine.model());
  if (const std::string reason = LoadTuning(reader, engine.context()); !reason.empty()) {
    console.Warn(kLogger, fmt::format("the choice of matrix products is not taken over: {}; numbers may differ in the "
                                      "last bits from those of the run",
                                      reason));
  }
  EvaluationReport report = {.checkpoint = checkpoint, .step = reader.state().step, .evaluations = {}, .details = {}};
  for (std::size_t i = 0; i < config.evaluators.size(); ++i) {
    const EvaluatorConfig& evaluator = config.evaluators[i];
    report.evaluations.push_back({.label = evaluator.label,
                                  .type = evaluator.type,
                                  .recipe = evaluator.recipe,
                                  .precision = engine.ModelIn(evaluator.recipe).recipe().name,
                                  .metrics = evaluation.RunOne(i, engine, *alone, console)});
    for (std::string& line : evaluation.DetailsOf(i)) report.details.push_back(std::move(line));
  }
  return report;
}

std::string EvaluationReport::Json() const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Evaluation& evaluation : evaluations) {
    nlohmann::ordered_json metrics = nlohmann::ordered_json::object();
    for (const auto& [name, value] : evaluation.metrics.items()) metrics[name] = value;
    list.push_back({{"label", evaluation.label},
                    {"type", NameOf(evaluation.type)},
                    {"recipe", NameOf(evaluation.recipe)},
                    {"precision", evaluation.precision},
                    {"metrics", metrics}});
  }
  const nlohmann::ordered_json report = {{"checkpoint", checkpoint}, {"step", step}, {"evaluations", list}};
  return report.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string EvaluationReport::Table() const {
  std::size_t width = 6;
  for (const Evaluation& evaluation : evaluations) {
    for (const auto& [name, value] : evaluation.metrics.items()) width = std::max(width, name.size());
  }
  std::string table = fmt::format("{:{}}  {:>12}  {}\n", "metric", width, "value", "precision");
  for (const Evaluation& evaluation : evaluations) {
    for (const auto& [name, value] : evaluation.metrics.items()) {
      table += fmt::format("{:{}}  {:>12.6f}  {}\n", name, width, value, evaluation.precision);
    }
  }
  return table;
}

}  // namespace coat
