#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "comm/communicator.h"
#include "config/config.h"
#include "data/batch.h"
#include "data/indices_log.h"
#include "output/console.h"
#include "output/metrics.h"
#include "output/metrics_file.h"
#include "tensorboard/event_file.h"

namespace coat {

/// The folder of TensorBoard's files in the save folder.
inline constexpr std::string_view kTensorBoardFolder = "tensorboard";

/// The folder of the ranks' records of data indices in the save folder.
inline constexpr std::string_view kDataIndicesFolder = "data-indices";

/// Copies the records of runs from one folder to another, whose own it removes first. `to` is made if need be. Throws
/// IoError.
void CopyRecords(const std::string& from, const std::string& to);

/// The records that a run keeps in its folder: metrics.jsonl, with tensorboard the same in tensorboard/, and with
/// save_data_indices data-indices/. Rank 0 writes the metrics, each rank the indices of its own sequences.
class RunRecords {
 public:
  /// `steps_done` by the run in this folder so far; `overwrite` as MetricsFile, EventFile and DataIndexLog. Rank 0 cuts
  /// the indices of ranks that are no more off in the same way, and warns of damaged metrics that are cut off.
  RunRecords(const TrainConfig& config, std::int64_t steps_done, bool overwrite, const Communicator& ranks,
             Console& console);

  void AddBatch(std::int64_t step, const Batch& batch);
  /// On rank 0, writes metrics of a step, if there are any.
  void AddMetrics(std::int64_t step, const Metrics& metrics);
  /// On rank 0, whether an evaluation of the step that the run goes on from is recorded already.
  bool HasEvaluationAtStart() const;
  /// AddMetrics of that step, without those numbers of it that are recorded already.
  void AddMetricsAtStart(std::int64_t step, const Metrics& metrics);
  /// Waits until everything is on the disk.
  void Flush();

 private:
  std::optional<MetricsFile> metrics_;
  std::optional<EventFile> events_;
  std::optional<DataIndexLog> indices_;
};

}  // namespace coat
