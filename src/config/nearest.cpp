#include "config/nearest.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "config/text.h"

namespace coat {

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_previous(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) current[j] = std::min(current[j], before_previous[j - 2] + 1);
    }
    std::swap(before_previous, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

std::string DidYouMean(std::string_view name, std::span<const std::string> names) {
  constexpr std::size_t kLongest = 64;
  const std::string* nearest = nullptr;
  std::size_t least = 0;
  if (name.size() <= kLongest) {
    for (const std::string& candidate : names) {
      const std::size_t distance = EditDistance(name, candidate);
      const std::size_t longest = std::max(name.size(), candidate.size());
      if (distance > std::max<std::size_t>(2, candidate.size() / 3) || distance >= longest) continue;
      if (nearest == nullptr || distance < least) {
        nearest = &candidate;
        least = distance;
      }
    }
  }
  if (nearest != nullptr) return fmt::format("did you mean {}?", *nearest);
  return fmt::format("accepted: {}", Joined(names, ", "));
}

}  // namespace coat
