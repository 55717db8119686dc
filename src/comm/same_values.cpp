#include "comm/same_values.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "comm/agreement.h"

namespace coat {

namespace {

/// Ends names and values, which have no such character.
constexpr char kEnd = '\0';

std::string TextOf(std::span<const NamedValue> values) {
  std::string text;
  for (const auto& [name, value] : values) text += name + kEnd + value + kEnd;
  return text;
}

std::vector<NamedValue> ValuesOf(std::string_view text) {
  const auto take = [&] {
    const std::size_t end = text.find(kEnd);
    std::string word(text.substr(0, end));
    text.remove_prefix(end + 1);
    return word;
  };
  std::vector<NamedValue> values;
  while (!text.empty()) {
    std::string name = take();
    values.emplace_back(std::move(name), take());
  }
  return values;
}

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
  const std::vector<std::string> texts = ranks.AllGatherText(TextOf(values));
  const std::vector<NamedValue> first = ValuesOf(texts.front());
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    if (texts[rank] == texts.front()) continue;
    const std::vector<NamedValue> other = ValuesOf(texts[rank]);
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
