#include "plan/published_coat.h"

#include <algorithm>

#include "base/divide.h"
#include "models/olmo.h"
#include "recipes/recipe.h"

namespace coat {

MemoryPlan PublishedCoatPlan(const TrainConfig& config) {
  const ModelConfig& model = config.model;
  const std::int64_t parameters = CountParameters(OlmoParameters(model));
  const Recipe recipe = MakeRecipe(config);
  std::int64_t inputs = 0;  // of blocks that are recomputed
  std::int64_t kept = 0;
  std::int64_t layers = 0;  // whose activations are there at a time
  for (std::int64_t layer = 0; layer < model.n_layers; ++layer) {
    (recipe.Recomputes(layer) ? inputs : kept) += 1;
    layers = std::max(layers, kept + (recipe.Recomputes(layer) ? 1 : 0));
  }
  const std::int64_t tokens = config.MicroBatch() * model.max_sequence_length;
  const std::int64_t d = model.d_model;
  const std::int64_t h = model.HiddenWidth();
  const auto in_groups = [&](std::int64_t width) {  // FP8 codes and bf16 scales, one per group_size
    return tokens * (width + 2 * width / config.quantize_model.group_size);
  };
  // A LayerNorm keeps its input in groups, its output per tensor and transposed, mean and rstd in float32.
  const std::int64_t norm = layers * (in_groups(d) + tokens * (d + 8));
  MemoryPlan plan;
  plan.recipe = "COAT as published (estimate)";
  plan.layers = model.n_layers;
  plan.tokens = tokens;
  plan.saved = {{"attn_norm", norm},
                {"qkv", layers * tokens * 2 * model.QkvWidth()},
                {"attention", layers * tokens * (2 * d + 4 * model.n_heads)},
                {"ff_norm", norm},
                {"up_gate", layers * 2 * in_groups(h)},
                {"silu", layers * in_groups(h)},
                {"product", layers * tokens * h},
                {"ln_f", tokens * (2 * d + 8)}};
  if (inputs > 0) plan.saved.push_back({"block_input", inputs * tokens * 2 * d});
  std::int64_t saved = 0;
  for (const MemoryPlan::Line& line : plan.saved) saved += line.bytes;
  const std::int64_t groups = DivideUp(parameters, 128);
  const std::int64_t logits = tokens * model.EmbeddingRows() * (2 + 4);  // bf16, and float32 for the loss
  plan.categories = {{"masters", 4 * parameters},
                     {"gradients", 4 * parameters},
                     {"weights", 2 * parameters},  // FSDP's gathered bf16 copy
                     {"moments", 2 * parameters},
                     {"metadata", 2 * 3 * 4 * groups},  // scale, exponent and center of two moments
                     {"saved", saved},
                     {"batch", tokens * 16},  // ids and labels as int64
                     {"scratch", logits}};
  return plan;
}

}  // namespace coat
