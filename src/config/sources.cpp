#include "config/sources.h"

#include <fmt/core.h>

namespace coat {

std::string Where(const Origin& origin, std::string_view key_path) {
  if (origin.OnCommandLine()) return fmt::format("on the command line: --{}", key_path);
  if (!origin.key.empty()) return fmt::format("{}: {}", origin.file, origin.key);
  if (key_path.empty()) return fmt::format("{}:{}", origin.file, origin.line);
  return fmt::format("{}:{}: {}", origin.file, origin.line, key_path);
}

std::string Sources::Where(std::string_view key_path) const {
  const auto found = origins_.find(key_path);
  if (found != origins_.end()) return coat::Where(found->second, key_path);
  const std::string prefix = file_.empty() ? std::string() : file_ + ": ";
  return fmt::format("{}{} (not set)", prefix, key_path);
}

}  // namespace coat
