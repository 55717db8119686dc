#include "plan/memory_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "base/number_text.h"
#include "engine/engine.h"
#include "plan/published_coat.h"

namespace coat {

namespace {

constexpr std::size_t kLabelWidth = 54;  // of a table: the longest label and a blank

/// What a category is, for the table.
std::string_view Description(std::string_view category) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kDescriptions = {{
      {"masters", "parameters, float32"},
      {"gradients", "accumulated over a step"},
      {"weights", "weights as operands, constant tables"},
      {"moments", "optimizer moments"},
      {"metadata", "scales and exponents of moments, clipping"},
      {"saved", "activations from forward to backward"},
      {"batch", "token ids, labels, losses"},
      {"scratch", "workspace of one call"},
      {"exchange", "layers' weights and gradients among ranks"},
  }};
  for (const auto& [name, text] : kDescriptions) {
    if (name == category) return text;
  }
  return "";
}

/// BF16 with the plain form of the same optimizer.
TrainConfig WithoutFp8(TrainConfig config) {
  config.quantize_model = {};
  config.quantize_optimizer = {};
  return config;
}

/// This configuration, BF16, and COAT as published where it knows the architecture: it refuses norm_after. The latter
/// is of one rank.
std::vector<MemoryPlan> PlansToCompare(const TrainConfig& config, int ranks) {
  std::vector<MemoryPlan> plans = {Engine::Measure(config, 0, ranks), Engine::Measure(WithoutFp8(config), 0, ranks)};
  if (ranks == 1 && !config.model.norm_after) plans.push_back(PublishedCoatPlan(config));
  return plans;
}

/// The names of several lists of lines, each once, in order of appearance.
std::vector<std::string> NamesOf(const std::vector<MemoryPlan>& plans,
                                 std::vector<MemoryPlan::Line> MemoryPlan::*lines) {
  std::vector<std::string> names;
  for (const MemoryPlan& plan : plans) {
    for (const MemoryPlan::Line& line : plan.*lines) {
      if (std::find(names.begin(), names.end(), line.name) == names.end()) names.push_back(line.name);
    }
  }
  return names;
}

}  // namespace

std::string PlanTable(const TrainConfig& config, int ranks) {
  const std::vector<MemoryPlan> plans = PlansToCompare(config, ranks);
  const std::string line = std::string(kLabelWidth + 30 * plans.size(), '-') + "\n";
  const auto cells = [](std::int64_t bytes) {
    return fmt::format("{:>18} {:>11}", WithCommas(bytes), InBinaryUnits(bytes));
  };
  const std::string of_rank =
      ranks == 1 ? "" : fmt::format(" of each of {} ranks ({}; the first, which has most)", ranks, SharingName(config));
  std::string table =
      fmt::format("Memory{} for {} tokens at a time ({} sequences of {}), {} layers, in bytes\n\n", of_rank,
                  WithCommas(plans[0].tokens), config.MicroBatch(), config.model.max_sequence_length, plans[0].layers);
  table += fmt::format("{:{}}", "", kLabelWidth);
  for (const MemoryPlan& plan : plans) table += fmt::format("{:>30}", plan.recipe);
  table += "\n" + line;
  for (const std::string& name : NamesOf(plans, &MemoryPlan::categories)) {
    const auto has_none = [&](const MemoryPlan& plan) { return plan.Bytes(name) == 0; };
    if (std::all_of(plans.begin(), plans.end(), has_none)) continue;
    table += fmt::format("{:{}}", fmt::format("{} ({})", name, Description(name)), kLabelWidth);
    for (const MemoryPlan& plan : plans) table += cells(plan.Bytes(name));
    table += "\n";
  }
  table += line + fmt::format("{:{}}", "total", kLabelWidth);
  for (const MemoryPlan& plan : plans) table += cells(plan.Total());
  table += "\n\nSaved activations by kind, from forward to backward, all layers together\n" + line;
  for (const std::string& name : NamesOf(plans, &MemoryPlan::saved)) {
    table += fmt::format("{:{}}", name, kLabelWidth);
    for (const MemoryPlan& plan : plans) table += cells(BytesOf(plan.saved, name));
    table += "\n";
  }
  if (config.activation_checkpointing) {
    table += fmt::format(
        "\nactivation_checkpointing: {}. The activations of a block that keeps its input only are in the\n"
        "category saved one block at a time, while it runs.\n",
        NameOf(*config.activation_checkpointing));
  }
  return table;
}

std::string PlanJson(const TrainConfig& config, int ranks) {
  nlohmann::ordered_json plans = nlohmann::ordered_json::array();
  for (const MemoryPlan& plan : PlansToCompare(config, ranks)) {
    nlohmann::ordered_json categories;
    for (const MemoryPlan::Line& line : plan.categories) categories[line.name] = line.bytes;
    nlohmann::ordered_json saved;
    for (const MemoryPlan::Line& line : plan.saved) saved[line.name] = line.bytes;
    plans.push_back({{"recipe", plan.recipe},
                     {"layers", plan.layers},
                     {"tokens", plan.tokens},
                     {"categories", categories},
                     {"saved", saved},
                     {"total", plan.Total()}});
  }
  nlohmann::ordered_json json;
  if (ranks > 1) {
    json["ranks"] = ranks;
    json["strategy"] = SharingName(config);
  }
  json["plans"] = plans;
  return json.dump();
}

}  // namespace coat
