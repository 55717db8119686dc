#pragma once
// How far a run has come, in one line.

#include <cstdint>
#include <optional>
#include <string>

namespace coat {

/// Where a run stands. What is not known yet is left out of the line.
struct TrainingProgress {
  std::int64_t step = 0;
  std::int64_t max_steps = 0;  // the step after which the run ends
  std::optional<double> loss = std::nullopt;
  std::optional<double> tokens_per_second = std::nullopt;
  std::optional<double> steps_per_second = std::nullopt;  // of which the time that remains is computed
};

/// "step 123/1000  12.3%  loss 3.214  1,234 tokens/s  0:13:37 left".
std::string FormatProgress(const TrainingProgress& progress);

/// "0:00:07", "1:02:03", "3d 4:05:06"; whole seconds, rounded up. "?" for what is negative, not finite or longer than
/// ten thousand days.
std::string FormatSeconds(double seconds);

}  // namespace coat
