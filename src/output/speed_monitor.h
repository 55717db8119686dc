#pragma once
// Tokens and batches a second over the last steps.

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>

#include "output/metrics.h"

namespace coat {

/// Measures speed as OLMo does: over a window of the last batches, from the start of the oldest of them until now, the
/// first batch of the run left out. Not thread-safe. Source: OLMo's SpeedMonitor.
class SpeedMonitor {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  /// `window_size` batches at most. `flops_per_token`: see TrainingFlopsPerToken (models/olmo.h).
  /// Throws ArgumentError unless window_size > 0.
  SpeedMonitor(std::int64_t window_size, double flops_per_token, Clock clock = std::chrono::steady_clock::now);

  /// At the start of a batch of `batch_tokens` tokens on this device, after which the run will have seen `total_tokens`
  /// on all of them.
  void StartBatch(std::int64_t total_tokens, std::int64_t batch_tokens);

  /// Forgets the window, because the time since has gone into something else: after every checkpoint and evaluation.
  void Clear();

  /// At the end of a batch: throughput/total_tokens, throughput/total_training_Gflops and its natural logarithm
  /// throughput/total_training_log_Gflops (left out while there is nothing to take it of); and, once the window has a
  /// batch, throughput/device/tokens_per_second and throughput/device/batches_per_second.
  Metrics Check() const;

 private:
  struct Start {
    std::chrono::steady_clock::time_point time;
    std::int64_t tokens = 0;
  };

  std::size_t window_size_;
  double flops_per_token_;
  Clock clock_;
  bool is_first_batch_ = true;
  std::int64_t total_tokens_ = 0;
  std::deque<Start> window_;
};

}  // namespace coat
