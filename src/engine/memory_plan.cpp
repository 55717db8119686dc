#include "engine/memory_plan.h"

#include <fmt/core.h>

#include <algorithm>

#include "recipes/recipe.h"

namespace coat {

std::int64_t BytesOf(const std::vector<MemoryPlan::Line>& lines, std::string_view name) {
  for (const MemoryPlan::Line& line : lines) {
    if (line.name == name) return line.bytes;
  }
  return 0;
}

std::int64_t MemoryPlan::Total() const {
  std::int64_t total = 0;
  for (const Line& line : categories) total += line.bytes;
  return total;
}

std::int64_t MemoryPlan::Bytes(std::string_view category) const {
  return BytesOf(categories, category);
}

std::string RecipeName(const TrainConfig& config) {
  const bool fp8_optimizer = config.quantize_optimizer.use_quantize_optimizer.has_value();
  const std::string_view optimizer = fp8_optimizer                                    ? "coat_fp8_adamw"
                                     : config.optimizer.name == OptimizerName::kLionW ? "lionw"
                                                                                      : "adamw";
  return fmt::format("{} + {}", MakeRecipe(config).name, optimizer);
}

MemoryPlan PlanOf(const TrainConfig& config, const RunArenas& arenas, const std::vector<Arena::Entry>& saved) {
  MemoryPlan plan;
  plan.recipe = RecipeName(config);
  plan.layers = config.model.n_layers;
  plan.tokens = config.MicroBatch() * config.model.max_sequence_length;
  arenas.ForEach([&](const Arena& arena) { plan.categories.push_back({arena.name(), arena.peak_bytes()}); });
  for (const Arena::Entry& entry : saved) {
    const std::string kind = entry.name.substr(0, entry.name.find('.'));
    const auto same = [&](const MemoryPlan::Line& line) { return line.name == kind; };
    const auto found = std::find_if(plan.saved.begin(), plan.saved.end(), same);
    if (found == plan.saved.end()) {
      plan.saved.push_back({kind, entry.bytes});
    } else {
      found->bytes += entry.bytes;
    }
  }
  return plan;
}

std::string SharingName(const TrainConfig& config) {
  if (config.distributed_strategy != DistributedStrategy::kFsdp) {
    return std::string(NameOf(config.distributed_strategy));
  }
  return std::string(NameOf(config.fsdp.value_or(FsdpConfig()).sharding_strategy));
}

}  // namespace coat
