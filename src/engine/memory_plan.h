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
  /// Bytes of one category; 0 if there is none of that name.
  std::int64_t Bytes(std::string_view category) const;
};

/// The recipe's and the optimizer's names of a configuration: "bf16 + adamw".
std::string RecipeName(const TrainConfig& config);

/// The plan that a run's arenas show: the peak of each, and the activations that `saved` lists, one entry a tensor.
MemoryPlan PlanOf(const TrainConfig& config, const RunArenas& arenas, const std::vector<Arena::Entry>& saved);

/// COAT as published would need this for the same model and micro-batch, by the sizes of the tensors that its code
/// keeps (one rank, FSDP mixed precision): an estimate, not a measurement. Of OLMo 1 only, as COAT refuses norm_after.
/// Source: NVlabs/COAT 80ec99f.
MemoryPlan PublishedCoatPlan(const TrainConfig& config);

/// How the configuration shares a model among several ranks: "FULL_SHARD", "ddp", ...
std::string SharingName(const TrainConfig& config);

/// The plan of this configuration beside those of BF16 with AdamW and, for OLMo 1 on one rank, of COAT as published, as
/// a table to print. Of `ranks` ranks it is the first one's, which has the largest parts. Throws ConfigError if the
/// ranks cannot share the model as the configuration says.
std::string PlanTable(const TrainConfig& config, int ranks = 1);
/// The same as one line of JSON: {"plans": [{"recipe": ..., "categories": {...}, "saved": {...}, "total": ...}, ...]}.
/// With several ranks {"ranks": ..., "strategy": ..., "plans": ...}.
std::string PlanJson(const TrainConfig& config, int ranks = 1);

}  // namespace coat
