#include "train/run_records.h"

#include <string>

namespace coat {

RunRecords::RunRecords(const TrainConfig& config, std::int64_t steps_done, bool overwrite)
    : metrics_(config.save_folder + "/" + std::string(kMetricsFileName), steps_done, overwrite) {
  if (config.save_data_indices) {
    indices_.emplace(config.save_folder + "/data-indices/rank0.tsv.gz", steps_done, overwrite);
  }
}

void RunRecords::AddBatch(std::int64_t step, const Batch& batch) {
  if (indices_) indices_->Add(step, batch.indices);
}

void RunRecords::AddMetrics(std::int64_t step, const Metrics& metrics) {
  if (!metrics.empty()) metrics_.Write(step, metrics);
}

void RunRecords::Flush() {
  metrics_.Flush();
  if (indices_) indices_->Flush();
}

}  // namespace coat
