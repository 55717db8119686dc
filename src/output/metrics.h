#pragma once
// What a step reports: names as OLMo logs them, and how they look on the console.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coat {

/// Numbers by name, in the order in which they were first set. Not thread-safe.
class Metrics {
 public:
  using Item = std::pair<std::string, double>;

  /// Adds a number, or replaces that of the same name in its place.
  void Set(std::string_view name, double value);
  /// Sets every number of `other`.
  void Merge(const Metrics& other);

  std::optional<double> Find(std::string_view name) const;
  bool empty() const { return items_.empty(); }
  const std::vector<Item>& items() const { return items_; }

 private:
  std::vector<Item> items_;
};

/// A number as OLMo's console shows it: below 1e-4 (and so all negative ones) with the fewest digits that read back
/// equal, as Python's str does; above 1000 its integer part with commas; else 5 significant digits or so: above 100
/// one decimal, above 10 two, above 1 three, otherwise four. "nan", "inf" and "-inf" (OLMo fails at infinity).
std::string FormatMetric(double value);

/// One line a metric, "    name=value", joined by newlines. Of the optimizer's metrics only optim/total_grad_norm.
std::string FormatMetrics(const Metrics& metrics);

/// The block that OLMo prints at a logged step: "[step=123/739328,epoch=0]" and then FormatMetrics.
std::string FormatConsole(std::int64_t step, std::int64_t max_steps, std::int64_t epoch, const Metrics& metrics);

}  // namespace coat
