#include "output/speed_monitor.h"

#include <cmath>
#include <utility>

#include "base/error.h"

namespace coat {

SpeedMonitor::SpeedMonitor(std::int64_t window_size, double flops_per_token, Clock clock)
    : window_size_(static_cast<std::size_t>(window_size)), flops_per_token_(flops_per_token), clock_(std::move(clock)) {
  COAT_REQUIRE(window_size > 0, "SpeedMonitor window_size is {}; expected at least 1", window_size);
}

void SpeedMonitor::StartBatch(std::int64_t total_tokens, std::int64_t batch_tokens) {
  total_tokens_ = total_tokens;
  if (std::exchange(is_first_batch_, false)) return;
  if (window_.size() == window_size_) window_.pop_front();
  window_.push_back({clock_(), batch_tokens});
}

void SpeedMonitor::Clear() {
  window_.clear();
}

Metrics SpeedMonitor::Check() const {
  Metrics metrics;
  const double gigaflops = flops_per_token_ * static_cast<double>(total_tokens_) / 1e9;
  metrics.Set("throughput/total_tokens", static_cast<double>(total_tokens_));
  metrics.Set("throughput/total_training_Gflops", gigaflops);
  if (gigaflops > 0) metrics.Set("throughput/total_training_log_Gflops", std::log(gigaflops));
  if (window_.empty()) return metrics;
  const double seconds = std::chrono::duration<double>(clock_() - window_.front().time).count();
  if (seconds <= 0) return metrics;
  std::int64_t tokens = 0;
  for (const Start& start : window_) tokens += start.tokens;
  metrics.Set("throughput/device/tokens_per_second", static_cast<double>(tokens) / seconds);
  metrics.Set("throughput/device/batches_per_second", static_cast<double>(window_.size()) / seconds);
  return metrics;
}

}  // namespace coat
