#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "config/config.h"
#include "engine/loss_model.h"
#include "evaluate/evaluator.h"
#include "output/console.h"
#include "output/metrics.h"

namespace coat {

/// The evaluators of a run, one after the other.
class RunEvaluation {
 public:
  /// Opens the data of all of them. What is said on the console is said by `logger`.
  explicit RunEvaluation(const TrainConfig& config, std::string_view logger = "coat.train");

  bool empty() const { return evaluators_.empty(); }
  /// Reads the data of all of them once, each rank its own, so that a file that is damaged in the middle is found
  /// before hours of work. Throws IoError, on the ranks that find one.
  void CheckData(const Communicator& ranks);
  /// Runs all of them, shared among the ranks, and returns their metrics. Says so on the console as OLMo does: a line
  /// when one begins, every console_log_interval batches of it and after the last, and its metrics. Warns of what is
  /// not measured.
  Metrics Run(LossModel& model, Communicator& ranks, Console& console);
  /// Runs the one at `index` of the configuration's evaluators.
  Metrics RunOne(std::size_t index, LossModel& model, Communicator& ranks, Console& console);
  /// Evaluator::Details of it.
  std::vector<std::string> DetailsOf(std::size_t index) const { return evaluators_.at(index)->Details(); }

 private:
  std::vector<std::unique_ptr<Evaluator>> evaluators_;
  std::string logger_;
  std::int64_t log_interval_;  // batches between lines on the console
};

}  // namespace coat
