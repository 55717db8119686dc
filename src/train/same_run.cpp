#include "train/same_run.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "comm/same_values.h"
#include "config/tree.h"
#include "config/values.h"

namespace coat {

namespace {

using Paths = std::vector<std::string>;

void AddFiles(const Paths& paths, std::vector<NamedValue>& sizes) {
  for (const std::string& path : paths) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(path, error);
    if (!error) sizes.emplace_back(path, fmt::format("{} bytes", size));
  }
}

void AddData(const DataConfig& data, std::vector<NamedValue>& sizes) {
  AddFiles(data.paths.value_or(Paths()), sizes);
  if (data.datasets) {
    for (const auto& [label, paths] : *data.datasets) AddFiles(paths, sizes);
  }
  AddFiles(data.label_mask_paths.value_or(Paths()), sizes);
}

}  // namespace

void RequireSameRun(const TrainConfig& config, Communicator& ranks) {
  if (ranks.size() == 1) return;
  RequireSame(ranks, ValuesOf(ToNode(config)), "the same configuration on all ranks");
  std::vector<NamedValue> sizes;
  AddData(config.data, sizes);
  for (const EvaluatorConfig& evaluator : config.evaluators) {
    AddData(evaluator.data, sizes);
    AddFiles(evaluator.requests.value_or(Paths()), sizes);
  }
  RequireSame(ranks, sizes, "the same data files on all ranks");
}

}  // namespace coat
