#include "comm/same_values.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "comm/agreement.h"
#include "comm/packed.h"

namespace coat {

namespace {

/// What the values have of a name, in words.
std::string Found(const std::vector<NamedValue>& values, const std::string& name) {
  const auto found = std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.first == name; });
  return found == values.end() ? "nothing" : fmt::format("`{}`", found->second);
}

[[noreturn]] void Fail(const std::string& message) {
  throw OfAllRanks(ConfigError(message));
}

}  // namespace

void RequireSame(Communicator& ranks, std::span<const NamedValue> values, const std::string& accepted) {
  const std::vector<std::string> texts =
      ranks.AllGatherText(Pack(std::vector<NamedValue>(values.begin(), values.end())));
  const auto [first] = Unpack<std::vector<NamedValue>>(texts.front());
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    if (texts[rank] == texts.front()) continue;
    const auto [other] = Unpack<std::vector<NamedValue>>(texts[rank]);
    for (const std::vector<NamedValue>* names : {&first, &other}) {
      for (const auto& [name, unused] : *names) {
        const std::string here = Found(other, name);
        const std::string there = Found(first, name);
        if (here == there) continue;
        Fail(fmt::format("{}: rank {} of {} has {}, rank 0 has {}; accepted: {}", name, rank, texts.size(), here, there,
                         accepted));
      }
    }
  }
}

}  // namespace coat
