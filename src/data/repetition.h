#pragma once
// Sequences that say the same thing over and over.

#include <cstdint>
#include <span>

namespace coat {

/// What counts as too much repetition: `max_count` times the same `min_period` to `max_period` tokens in a row.
struct RepetitionFilter {
  std::int64_t min_period = 1;
  std::int64_t max_period = 13;
  std::int64_t max_count = 32;
};

/// Whether `tokens` (T of them) somewhere repeat a piece of an accepted period at least `max_count` times in a row,
/// wherever the piece begins. Periods above T / 3 and repetitions of fewer than three times are not looked at, whatever
/// the filter says.
///
/// Throws ArgumentError unless min_period is at least 1. Source: OLMo's find_periodic_sequences and _validate_instance;
/// its rows of one period and their partial matches at both ends come to the same.
bool RepeatsItself(std::span<const std::int32_t> tokens, const RepetitionFilter& filter);

}  // namespace coat
