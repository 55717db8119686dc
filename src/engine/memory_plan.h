#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "engine/arenas.h"

namespace coat {

/// Bytes by category, in the order of RunArenas, and the saved activations by kind.
struct MemoryPlan {
  struct Line {
    std::string name;
    std::int64_t bytes = 0;
  };
  std::string recipe;            // "coat_real + coat_fp8_adamw"
  std::vector<Line> categories;  // masters, gradients, weights, moments, metadata, saved, batch, scratch, exchange
  std::vector<Line> saved;       // what forward leaves for backward by kind, all layers together: qkv, up_gate, ...
  std::int64_t layers = 0;
  std::int64_t tokens = 0;  // of a micro-batch

  std::int64_t Total() const;
  /// BytesOf the categories.
  std::int64_t Bytes(std::string_view category) const;
};

/// Bytes of the line of that name; 0 if there is none.
std::int64_t BytesOf(const std::vector<MemoryPlan::Line>& lines, std::string_view name);

/// The recipe's and the optimizer's names of a configuration: "bf16 + adamw".
std::string RecipeName(const TrainConfig& config);

/// The plan that a run's arenas show: the peak of each, and the activations that `saved` lists, one entry a tensor.
MemoryPlan PlanOf(const TrainConfig& config, const RunArenas& arenas, const std::vector<Arena::Entry>& saved);

/// How the configuration shares a model among several ranks: "FULL_SHARD", "ddp", ...
std::string SharingName(const TrainConfig& config);

}  // namespace coat
