#include "train/run_records.h"

#include <chrono>
#include <string>

namespace coat {

namespace {

double SecondsSince1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

RunRecords::RunRecords(const TrainConfig& config, std::int64_t steps_done, bool overwrite)
    : metrics_(config.save_folder + "/" + std::string(kMetricsFileName), steps_done, overwrite) {
  if (config.tensorboard) {
    events_.emplace(config.save_folder + "/" + std::string(kTensorBoardFolder), steps_done, overwrite,
                    SecondsSince1970());
  }
  if (config.save_data_indices) {
    indices_.emplace(config.save_folder + "/data-indices/rank0.tsv.gz", steps_done, overwrite);
  }
}

void RunRecords::AddBatch(std::int64_t step, const Batch& batch) {
  if (indices_) indices_->Add(step, batch.indices);
}

void RunRecords::AddMetrics(std::int64_t step, const Metrics& metrics) {
  if (metrics.empty()) return;
  metrics_.Write(step, metrics);
  if (events_) events_->Write(step, SecondsSince1970(), metrics.items());
}

void RunRecords::Flush() {
  metrics_.Flush();
  if (events_) events_->Flush();
  if (indices_) indices_->Flush();
}

}  // namespace coat
