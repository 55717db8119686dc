#include "config/checker.h"

#include <fmt/core.h>

#include <limits>

#include "base/error.h"
#include "config/scalar.h"

namespace coat {

namespace {

std::string RangeText(std::int64_t least, std::int64_t most) {
  if (most >= ConfigChecker::kNoLimit) return fmt::format("{} or more", least);
  return fmt::format("{} to {}", least, most);
}

}  // namespace

void ConfigChecker::Fail(std::string_view path, std::string_view what) const {
  throw ConfigError(fmt::format("{}: {}", sources_.Where(path), what));
}

void ConfigChecker::Warn(std::string_view path, std::string_view what) {
  report_.warnings.push_back(fmt::format("{}: {}", sources_.Where(path), what));
}

void ConfigChecker::NoteWithoutEffect(std::string_view path, std::string_view why) {
  report_.without_effect.push_back(fmt::format("{}: {}", path, why));
}

void ConfigChecker::RequireWithin(std::string_view path, std::int64_t value, std::int64_t least,
                                  std::int64_t most) const {
  if (value < least || value > most) Fail(path, fmt::format("found {}; accepted: {}", value, RangeText(least, most)));
}

void ConfigChecker::RequireWithin(std::string_view path, std::optional<std::int64_t> value, std::int64_t least,
                            std::int64_t most) const {
  if (value && (*value < least || *value > most)) {
    Fail(path, fmt::format("found {}; accepted: {}, or null", *value, RangeText(least, most)));
  }
}

void ConfigChecker::RequirePositive(std::string_view path, std::optional<double> value) const {
  if (value && !(*value > 0)) Fail(path, fmt::format("found {}; accepted: a number above 0", NumberText(*value)));
  if (value && *value < std::numeric_limits<float>::min()) {
    Fail(path, fmt::format("found {}; accepted: 1.2e-38 or more, as float32 holds it", NumberText(*value)));
  }
  RequireNotNegative(path, value);
}

void ConfigChecker::RequireNotNegative(std::string_view path, std::optional<double> value) const {
  if (value && !(*value >= 0)) Fail(path, fmt::format("found {}; accepted: 0 or more", NumberText(*value)));
  if (value && *value > std::numeric_limits<float>::max()) {
    Fail(path, fmt::format("found {}; accepted: 3.4e38 or less, as float32 holds it", NumberText(*value)));
  }
}

}  // namespace coat
