#include "config/duration.h"

#include <fmt/core.h>

#include <cmath>

#include "config/scalar.h"

namespace coat {

namespace {

std::optional<std::int64_t> Whole(std::string_view text) {
  if (const auto integer = ParseInteger(text)) return integer;
  const auto number = ParseNumber(text);
  if (!number || std::abs(*number) >= 0x1p63) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

std::string_view WithoutSpaceAtEnd(std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  std::optional<std::int64_t> value;
  Duration::Unit unit = Duration::Unit::kSteps;
  if (text.size() > 2 && text.substr(text.size() - 2) == "ep") {
    value = ParseInteger(WithoutSpaceAtEnd(text.substr(0, text.size() - 2)));
    unit = Duration::Unit::kEpochs;
  } else if (text.size() > 1 && text.back() == 'T') {
    value = Whole(WithoutSpaceAtEnd(text.substr(0, text.size() - 1)));
    unit = Duration::Unit::kTokens;
  } else {
    value = Whole(text);
  }
  if (!value) return std::nullopt;
  return Duration{*value, unit};
}

std::string ToText(const Duration& duration) {
  switch (duration.unit) {
    case Duration::Unit::kSteps:
      return fmt::format("{}", duration.value);
    case Duration::Unit::kTokens:
      return fmt::format("{}T", duration.value);
    case Duration::Unit::kEpochs:
      return fmt::format("{}ep", duration.value);
  }
  return "?";
}

}  // namespace coat
