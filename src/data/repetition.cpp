#include "data/repetition.h"

#include <algorithm>
#include <cstddef>

#include "base/error.h"

namespace coat {

bool RepeatsItself(std::span<const std::int32_t> tokens, const RepetitionFilter& filter) {
  COAT_REQUIRE(filter.min_period >= 1, "the shortest period is {}; it must be at least 1", filter.min_period);
  const auto length = static_cast<std::int64_t>(tokens.size());
  const std::int64_t longest_period = std::min(filter.max_period, length / 3);
  const std::int64_t times = std::max<std::int64_t>(filter.max_count, 3);
  for (std::int64_t period = filter.min_period; period <= longest_period; ++period) {
    // A piece that is there n times is followed by (n - 1) periods of tokens that equal those a period before.
    const std::int64_t enough = (times - 1) * period;
    std::int64_t equal = 0;
    for (std::int64_t i = period; i < length && equal < enough; ++i) {
      const bool same = tokens[static_cast<std::size_t>(i)] == tokens[static_cast<std::size_t>(i - period)];
      equal = same ? equal + 1 : 0;
    }
    if (equal >= enough) return true;
  }
  return false;
}

}  // namespace coat
