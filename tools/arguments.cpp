#include "tools/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/config.h"
#include "config/nearest.h"
#include "config/scalar.h"
#include "config/text.h"

namespace coat {

namespace {

/// "--threads" of "--threads=4".
std::string NameOf(const std::string& argument) {
  return argument.substr(0, argument.find('='));
}

/// The key that an argument sets, as it is written in a file: "data.paths" of "--data.paths=[a]".
std::string KeyOf(const std::string& argument) {
  std::string key = NameOf(argument);
  key.erase(0, std::min(key.find_first_not_of('-'), key.size()));
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::vector<std::string> TopLevelKeys() {
  std::vector<std::string> keys;
  TrainConfig config;
  ForEachField(config, [&](std::string_view key, const auto&, const KeyDoc&) { keys.emplace_back(key); });
  return keys;
}

}  // namespace

void RequireCommand(const std::string& name, std::span<const std::string> commands) {
  if (std::find(commands.begin(), commands.end(), name) != commands.end()) return;
  throw UsageError(fmt::format("{}: no such command; {}", name, DidYouMean(name, commands)));
}

void RequireOverrides(std::span<const std::string> arguments, std::span<const std::string> options) {
  const std::vector<std::string> keys = TopLevelKeys();
  for (const std::string& argument : arguments) {
    if (!argument.starts_with("--")) {
      throw UsageError(
          fmt::format("{}: unexpected argument; keys are set by --key.path=value, in one piece", argument));
    }
    const std::string key = KeyOf(argument);
    if (key.find('.') != std::string::npos || std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    std::vector<std::string> names(options.begin(), options.end());
    for (const std::string& top_level_key : keys) names.push_back("--" + top_level_key);
    const std::string hint = DidYouMean("--" + key, names);
    throw UsageError(
        fmt::format("{}: no such option or key; {}", NameOf(argument),
                    hint.starts_with("did you mean")
                        ? hint
                        : fmt::format("options: {}; keys: see coat config --reference", Joined(options, ", "))));
  }
}

void RequireNoArguments(std::span<const std::string> arguments, std::span<const std::string> options) {
  if (arguments.empty()) return;
  const std::string& argument = arguments.front();
  if (!argument.starts_with("-")) throw UsageError(fmt::format("{}: unexpected argument", argument));
  throw UsageError(fmt::format("{}: no such option; {}", NameOf(argument), DidYouMean(NameOf(argument), options)));
}

std::int64_t WholeNumber(std::string_view option, const std::string& text, std::int64_t least, std::int64_t most) {
  const std::optional<std::int64_t> number = ParseInteger(text);
  if (number && *number >= least && *number <= most) return *number;
  throw UsageError(fmt::format("{}: found {}; accepted: a whole number from {} to {}", option, text, least, most));
}

double DecimalNumber(std::string_view option, const std::string& text) {
  if (const std::optional<double> number = ParseNumber(text)) return *number;
  throw UsageError(fmt::format("{}: found {}; accepted: a number such as 0.5", option, text));
}

}  // namespace coat
