#include "output/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/number_text.h"

namespace coat {

namespace {

/// Python's str of a float. fmt writes the same digits and exponents, but no ".0" behind whole numbers.
std::string PythonText(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

void Metrics::Set(std::string_view name, double value) {
  const auto item = std::find_if(items_.begin(), items_.end(), [&](const Item& i) { return i.first == name; });
  if (item != items_.end()) {
    item->second = value;
  } else {
    items_.emplace_back(name, value);
  }
}

void Metrics::Merge(const Metrics& other) {
  for (const auto& [name, value] : other.items_) Set(name, value);
}

std::optional<double> Metrics::Find(std::string_view name) const {
  const auto item = std::find_if(items_.begin(), items_.end(), [&](const Item& i) { return i.first == name; });
  return item != items_.end() ? std::optional(item->second) : std::nullopt;
}

std::string FormatMetric(double value) {
  if (std::isnan(value)) return "nan";  // whose sign says nothing
  if (std::isinf(value)) return fmt::format("{}", value);
  if (value < 1e-4) return PythonText(value);
  if (value > 1000) return WithCommas(fmt::format("{:.0f}", std::trunc(value)));
  if (value > 100) return fmt::format("{:.1f}", value);
  if (value > 10) return fmt::format("{:.2f}", value);
  if (value > 1) return fmt::format("{:.3f}", value);
  return fmt::format("{:.4f}", value);
}

std::string FormatMetrics(const Metrics& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics.items()) {
    const bool is_internal = name.starts_with("optim/") && name != "optim/total_grad_norm";
    if (!is_internal) text += fmt::format("{}    {}={}", text.empty() ? "" : "\n", name, FormatMetric(value));
  }
  return text;
}

std::string FormatConsole(std::int64_t step, std::int64_t max_steps, std::int64_t epoch, const Metrics& metrics) {
  const std::string lines = FormatMetrics(metrics);
  return fmt::format("[step={}/{},epoch={}]{}{}", step, max_steps, epoch, lines.empty() ? "" : "\n", lines);
}

}  // namespace coat
