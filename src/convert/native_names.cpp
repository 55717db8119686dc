#include "convert/native_names.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace coat {

namespace {

constexpr std::string_view kBlocks = "transformer.blocks.";
constexpr std::string_view kGroups = "transformer.block_groups.";

/// The module of COAT's block that holds each of its linear layers.
constexpr auto kModules = std::to_array<std::pair<std::string_view, std::string_view>>({{"att_proj", "BeforeAttention"},
                                                                                        {"attn_out", "AfterAttention"},
                                                                                        {"ff_proj", "MLPResidual"},
                                                                                        {"ff_out", "MLPResidual"}});

void Remove(std::string& name, std::string_view part) {
  for (std::size_t at = name.find(part); at != std::string::npos; at = name.find(part)) name.erase(at, part.size());
}

/// Takes the number off the front, and the dot behind it.
std::optional<std::int64_t> TakeNumber(std::string_view& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || number > 0xffff || end == text.data() + text.size() || *end != '.') {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return number;
}

}  // namespace

std::string ToOlmoName(std::string_view name, std::int64_t block_group_size) {
  std::string result(name);
  Remove(result, "_fsdp_wrapped_module.");
  if (result.starts_with("module.")) result.erase(0, std::string_view("module.").size());
  if (result.starts_with(kGroups)) {
    std::string_view rest = std::string_view(result).substr(kGroups.size());
    const std::optional<std::int64_t> group = TakeNumber(rest);
    const std::optional<std::int64_t> block = TakeNumber(rest);
    if (group && block) result = fmt::format("{}{}.{}", kBlocks, *group * block_group_size + *block, rest);
  }
  if (!result.starts_with(kBlocks)) return result;
  for (const auto& [layer, module] : kModules) {
    const std::string inserted = fmt::format(".{}.{}.", module, layer);
    const std::size_t at = result.find(inserted);
    if (at != std::string::npos) return result.replace(at, inserted.size(), fmt::format(".{}.", layer));
  }
  return result;
}

std::string FromOlmoName(const std::string& name, NativeNames names) {
  if (names == NativeNames::kOlmo || !name.starts_with(kBlocks)) return name;
  for (const auto& [layer, module] : kModules) {
    const std::string plain = fmt::format(".{}.", layer);
    const std::size_t at = name.find(plain);
    if (at != std::string::npos)
      return std::string(name).replace(at, plain.size(), fmt::format(".{}.{}.", module, layer));
  }
  return name;
}

}  // namespace coat
