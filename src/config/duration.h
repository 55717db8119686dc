#pragma once
// A length of training: steps, tokens ("2e12T") or epochs ("1ep").

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coat {

struct Duration {
  enum class Unit { kSteps, kTokens, kEpochs };
  std::int64_t value = 0;
  Unit unit = Unit::kSteps;

  bool operator==(const Duration&) const = default;
};

/// Reads `10000`, `739_328`, `1e4` (steps, the fraction is dropped), `2e12T` (tokens) and `1ep` (whole epochs).
/// Nothing if the text is none of these or does not fit 63 bits.
std::optional<Duration> ParseDuration(std::string_view text);

/// The text that ParseDuration reads back: `10000`, `2000000000000T`, `1ep`.
std::string ToText(const Duration& duration);

}  // namespace coat
