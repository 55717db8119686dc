// Where the tokens come from, for training and for the evaluators.

#include <fmt/core.h>

#include <set>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "config/checker.h"
#include "config/node.h"
#include "config/resolvers.h"
#include "config/task_labels.h"
#include "config/type_text.h"

namespace coat {

namespace {

constexpr std::int64_t kMaxSeed = (std::int64_t{1} << 32) - 1;

void CheckFiles(const std::vector<std::string>& files, const std::string& path, bool needed, ConfigChecker& checker) {
  if (files.empty() && needed) checker.Fail(path, "an empty list; accepted: at least one file");
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!files[i].empty() && !IsUrl(files[i])) continue;
    checker.Fail(Below(path, i), fmt::format("found `{}`; accepted: a file of this machine", files[i]));
  }
}

/// `path` is that of the section: "data" or "evaluators[0].data".
void CheckSection(const DataConfig& data, const std::string& path, bool needed, ConfigChecker& checker) {
  const std::string paths = Below(path, "paths");
  const std::string datasets = Below(path, "datasets");
  checker.RequireWithin(Below(path, "seed"), data.seed, 0, kMaxSeed);
  if (data.paths && data.datasets) {
    checker.Fail(datasets, fmt::format("stands beside {}; accepted: one of the two keys", paths));
  }
  if (!data.paths && !data.datasets && needed) {
    checker.Fail(paths,
                 fmt::format("required; accepted: a list of token files here or a mapping of labels in {}", datasets));
  }
  if (data.paths) CheckFiles(*data.paths, paths, needed, checker);
  if (data.datasets) {
    if (data.datasets->empty()) checker.Fail(datasets, "an empty mapping; accepted: at least one label");
    for (const auto& [label, files] : *data.datasets) CheckFiles(files, Below(datasets, label), needed, checker);
  }
  if (data.instance_filter) {
    const InstanceFilterConfig& filter = *data.instance_filter;
    const std::string keys = Below(path, "instance_filter");
    checker.RequireWithin(Below(keys, "repetition_min_period"), filter.repetition_min_period, 1);
    checker.RequireWithin(Below(keys, "repetition_max_period"), filter.repetition_max_period,
                          filter.repetition_min_period);
    checker.RequireWithin(Below(keys, "repetition_max_count"), filter.repetition_max_count, 3);
  }
  if (!data.label_mask_paths) return;
  const std::string masks = Below(path, "label_mask_paths");
  CheckFiles(*data.label_mask_paths, masks, needed, checker);
  if (!data.paths) checker.Fail(masks, fmt::format("accepted only with {}, one for each of its files", paths));
  if (data.label_mask_paths->size() != data.paths->size()) {
    checker.Fail(masks, fmt::format("{} files; accepted: one for each of the {} files of {}",
                                    data.label_mask_paths->size(), data.paths->size(), paths));
  }
}

/// An evaluator of a task has requests, and nothing that only token files have.
void CheckTask(const EvaluatorConfig& evaluator, const std::string& path, bool needed, ConfigChecker& checker) {
  const std::string requests = Below(path, "requests");
  if (evaluator.requests) {
    CheckFiles(*evaluator.requests, requests, needed, checker);
  } else if (needed) {
    checker.Fail(requests, "required with type: downstream; accepted: a list of request files of this machine");
  }
  const DataConfig& data = evaluator.data;
  if (data.paths || data.datasets || data.label_mask_paths || data.generate_doc_lengths || data.instance_filter) {
    checker.Fail(
        Below(path, "data"),
        fmt::format("token files, or what is done with them, beside type: downstream; accepted: {}", requests));
  }
  const std::string metrics = Below(path, "metrics");
  const std::string accepted = TypeText(TypeTag<std::vector<TaskMetric>>{});
  if (evaluator.metrics && evaluator.metrics->empty()) {
    checker.Fail(metrics, "an empty list; accepted: " + accepted);
  }
  if (!evaluator.metrics && !OlmoMetricOf(evaluator.label)) {
    checker.Fail(metrics, fmt::format("required for the label {}, which is not a task of OLMo's; accepted: {}",
                                      evaluator.label, accepted));
  }
}

void CheckLanguageModeling(const EvaluatorConfig& evaluator, const std::string& path, bool needed,
                           ConfigChecker& checker) {
  CheckSection(evaluator.data, Below(path, "data"), needed, checker);
  if (evaluator.requests) checker.Fail(Below(path, "requests"), "set with type: lm; accepted with type: downstream");
  if (evaluator.metrics) checker.Fail(Below(path, "metrics"), "set with type: lm; accepted with type: downstream");
}

}  // namespace

void CheckData(const TrainConfig& config, const ValidateOptions& options, ConfigChecker& checker) {
  CheckSection(config.data, "data", options.needs_data, checker);
  std::set<std::string> labels;
  const auto add_label = [&](const std::string& label, const std::string& path) {
    if (FindInvalidUtf8(label) != label.size()) {
      checker.Fail(path, "a label that is not UTF-8, in which metrics are written; accepted: a text in UTF-8");
    }
    if (!labels.insert(label).second) {
      checker.Fail(path, fmt::format("a second evaluation with the label {}; accepted: each label once", label));
    }
  };
  for (std::size_t i = 0; i < config.evaluators.size(); ++i) {
    const EvaluatorConfig& evaluator = config.evaluators[i];
    const std::string path = Below("evaluators", i);
    if (evaluator.label.empty()) checker.Fail(path, "the key label is required; accepted: a text");
    checker.RequireWithin(Below(path, "device_eval_batch_size"), evaluator.device_eval_batch_size, 1);
    if (evaluator.type == EvaluatorType::kDownstream) {
      CheckTask(evaluator, path, options.needs_evaluation_data, checker);
    } else {
      CheckLanguageModeling(evaluator, path, options.needs_evaluation_data, checker);
    }
    if (evaluator.data.datasets) {
      const std::string datasets = Below(path, "data.datasets");
      for (const auto& [label, files] : *evaluator.data.datasets) add_label(label, Below(datasets, label));
    } else {
      add_label(evaluator.label, Below(path, "label"));
    }
  }
}

}  // namespace coat
