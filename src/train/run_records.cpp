#include "train/run_records.h"

#include <fmt/core.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/file_system.h"
#include "base/system_call.h"
#include "checkpoint/file_names.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";

std::string DataIndexPath(const std::string& save_folder, int rank) {
  return fmt::format("{}/{}/rank{}.tsv.gz", save_folder, kDataIndicesFolder, rank);
}

double SecondsSince1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// What ranks beyond those of this run recorded in the folder when the run had more of them.
void CutFormerRanks(const TrainConfig& config, std::int64_t steps_done, bool overwrite, int ranks) {
  for (int rank = ranks;; ++rank) {
    const std::string path = DataIndexPath(config.save_folder, rank);
    if (!std::filesystem::exists(path)) return;
    DataIndexLog(path, steps_done, overwrite).Flush();
    if (steps_done == 0) std::filesystem::remove(path);
  }
}

}  // namespace

void CopyRecords(const std::string& from, const std::string& to) {
  MakeFolders(to);
  for (const std::string_view name : {kMetricsFileName, kTensorBoardFolder, kDataIndicesFolder}) {
    const std::string source = fmt::format("{}/{}", from, name);
    const std::string copy = fmt::format("{}/{}", to, name);
    RemoveTree(copy);
    if (KindOf(source) == PathKind::kMissing) continue;
    std::error_code error;
    std::filesystem::copy(source, copy, std::filesystem::copy_options::recursive, error);
    if (error) throw SystemError(source, fmt::format("copied to {}", copy), error.value());
  }
}

RunRecords::RunRecords(const TrainConfig& config, std::int64_t steps_done, bool overwrite, const Communicator& ranks,
                       Console& console) {
  if (ranks.rank() == 0) {
    metrics_.emplace(config.save_folder + "/" + std::string(kMetricsFileName), steps_done, overwrite);
    if (metrics_->damaged_line()) {
      console.Warn(kLogger,
                   fmt::format("{}:{}: a damaged line is cut off, with those of steps that the run takes again",
                               metrics_->path(), *metrics_->damaged_line()));
    }
    if (config.tensorboard) {
      events_.emplace(config.save_folder + "/" + std::string(kTensorBoardFolder), steps_done, overwrite,
                      SecondsSince1970());
    }
    if (config.save_data_indices) CutFormerRanks(config, steps_done, overwrite, ranks.size());
  }
  if (config.save_data_indices) {
    indices_.emplace(DataIndexPath(config.save_folder, ranks.rank()), steps_done, overwrite);
  }
}

void RunRecords::AddBatch(std::int64_t step, const Batch& batch) {
  if (indices_) indices_->Add(step, batch.indices);
}

void RunRecords::AddMetrics(std::int64_t step, const Metrics& metrics) {
  if (!metrics_ || metrics.empty()) return;
  metrics_->Write(step, metrics);
  if (events_) events_->Write(step, SecondsSince1970(), metrics.items());
}

bool RunRecords::HasEvaluationAtStart() const {
  return metrics_ && metrics_->HasPrefixAtStart("eval/");
}

void RunRecords::AddMetricsAtStart(std::int64_t step, const Metrics& metrics) {
  if (!metrics_) return;
  Metrics missing;
  for (const auto& [name, value] : metrics.items()) {
    if (!metrics_->HasAtStart(name)) missing.Set(name, value);
  }
  AddMetrics(step, missing);
}

void RunRecords::Flush() {
  if (metrics_) metrics_->Flush();
  if (events_) events_->Flush();
  if (indices_) indices_->Flush();
}

}  // namespace coat
