#include "output/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "output/metrics.h"

namespace coat {

std::string FormatProgress(const TrainingProgress& progress) {
  std::string text = fmt::format("step {}/{}", progress.step, progress.max_steps);
  if (progress.max_steps > 0) {
    const double share = static_cast<double>(progress.step) / static_cast<double>(progress.max_steps);
    text += fmt::format("  {:.1f}%", 100 * share);
  }
  if (progress.loss) text += fmt::format("  loss {}", FormatMetric(*progress.loss));
  if (progress.tokens_per_second) text += fmt::format("  {} tokens/s", FormatMetric(*progress.tokens_per_second));
  if (progress.steps_per_second && *progress.steps_per_second > 0) {
    const auto steps_left = static_cast<double>(std::max<std::int64_t>(0, progress.max_steps - progress.step));
    text += fmt::format("  {} left", FormatSeconds(steps_left / *progress.steps_per_second));
  }
  return text;
}

std::string FormatSeconds(double seconds) {
  constexpr double kMostSeconds = 10000.0 * 86400;
  if (!(seconds >= 0 && seconds <= kMostSeconds)) return "?";
  const auto whole = static_cast<std::int64_t>(std::ceil(seconds));
  const std::string days = whole >= 86400 ? fmt::format("{}d ", whole / 86400) : "";
  return fmt::format("{}{}:{:02}:{:02}", days, whole / 3600 % 24, whole / 60 % 60, whole % 60);
}

}  // namespace coat
