#include "report/config_differences.h"

#include <algorithm>
#include <map>

#include "config/values.h"

namespace coat {

std::vector<ConfigDifference> ConfigDifferences(std::span<const Node> configs) {
  std::vector<ConfigDifference> keys;
  std::map<std::string, std::size_t> places;
  for (std::size_t c = 0; c < configs.size(); ++c) {
    for (auto& [path, text] : ValuesOf(configs[c])) {
      const auto [place, is_new] = places.try_emplace(path, keys.size());
      if (is_new) keys.push_back({path, std::vector<std::optional<std::string>>(configs.size())});
      keys[place->second].values[c] = std::move(text);
    }
  }
  std::erase_if(keys, [](const ConfigDifference& key) {
    return std::all_of(key.values.begin(), key.values.end(), [&](const auto& value) { return value == key.values[0]; });
  });
  return keys;
}

}  // namespace coat
