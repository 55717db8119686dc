#include "base/number_text.h"

#include <fmt/core.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace coat {

std::string WithCommas(std::string digits) {
  const std::size_t first = digits.starts_with('-') ? 2 : 1;  // place that may have a comma before it
  for (std::size_t place = digits.size(); place >= first + 3;) {
    place -= 3;
    digits.insert(place, 1, ',');
  }
  return digits;
}

std::string WithCommas(std::int64_t value) {
  return WithCommas(std::to_string(value));
}

std::string InBinaryUnits(std::int64_t bytes) {
  constexpr std::array<std::string_view, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024.0;
  std::size_t unit = 0;
  for (; value >= 1024.0 && unit + 1 < kUnits.size(); ++unit) value /= 1024.0;
  return fmt::format("{:.2f} {}", value, kUnits[unit]);
}

}  // namespace coat
