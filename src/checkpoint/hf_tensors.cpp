#include "checkpoint/hf_tensors.h"

#include <fmt/format.h>

namespace coat {

std::vector<HfMapping> MapOlmoToHf(const ModelConfig& config) {
  const std::int64_t d = config.d_model;
  const std::int64_t hidden = config.HiddenWidth();
  const std::int64_t keys = config.KvHeads() * config.HeadSize();
  std::vector<HfMapping> mappings;
  const auto add = [&](std::string name, std::int64_t columns, std::vector<HfPart> parts) {
    HfMapping mapping = {.name = std::move(name), .columns = columns, .parts = std::move(parts)};
    for (const HfPart& part : mapping.parts) mapping.rows += part.rows;
    mappings.push_back(std::move(mapping));
  };
  add("transformer.wte.weight", d, {{kHfEmbedding, config.EmbeddingRows()}});
  for (std::int64_t i = 0; i < config.n_layers; ++i) {
    const std::string ours = fmt::format("transformer.blocks.{}.", i);
    const std::string attention = fmt::format("model.layers.{}.self_attn.", i);
    const std::string mlp = fmt::format("model.layers.{}.mlp.", i);
    add(ours + "attn_out.weight", d, {{attention + "o_proj.weight", d}});
    add(ours + "ff_out.weight", hidden, {{mlp + "down_proj.weight", d}});
    add(ours + "att_proj.weight", d,
        {{attention + "q_proj.weight", d}, {attention + "k_proj.weight", keys}, {attention + "v_proj.weight", keys}});
    add(ours + "ff_proj.weight", d, {{mlp + "up_proj.weight", hidden}, {mlp + "gate_proj.weight", hidden}});
  }
  if (!config.weight_tying) add("transformer.ff_out.weight", d, {{kHfHead, config.EmbeddingRows()}});
  return mappings;
}

}  // namespace coat
