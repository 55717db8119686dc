#include "convert/hf_tensors.h"

#include <fmt/format.h>

#include "base/error.h"

namespace coat {

namespace {

/// The parts of the tensor `name` ("att_proj.weight") of a block, without the layer.
std::vector<HfPart> BlockPartsOf(std::string_view name, const ModelConfig& config) {
  const std::int64_t d = config.d_model;
  const std::int64_t hidden = config.HiddenWidth();
  const std::int64_t keys = config.KvHeads() * config.HeadSize();
  if (name == "att_proj.weight") {
    return {{"self_attn.q_proj.weight", d}, {"self_attn.k_proj.weight", keys}, {"self_attn.v_proj.weight", keys}};
  }
  if (name == "ff_proj.weight") return {{"mlp.up_proj.weight", hidden}, {"mlp.gate_proj.weight", hidden}};
  if (name == "attn_out.weight") return {{"self_attn.o_proj.weight", d}};
  if (name == "ff_out.weight") return {{"mlp.down_proj.weight", d}};
  if (name == "q_norm.weight") return {{"self_attn.q_norm.weight", d}};
  if (name == "k_norm.weight") return {{"self_attn.k_norm.weight", keys}};
  if (name == "attn_norm.weight") return {{"post_attention_layernorm.weight", d}};
  if (name == "ff_norm.weight") return {{"post_feedforward_layernorm.weight", d}};
  return {};
}

}  // namespace

std::vector<HfPart> HfPartsOf(const std::string& name, const ModelConfig& config) {
  constexpr std::string_view kBlocks = "transformer.blocks.";
  if (name == "transformer.wte.weight") return {{kHfEmbedding, config.EmbeddingRows()}};
  if (name == "transformer.ff_out.weight") return {{kHfHead, config.EmbeddingRows()}};
  if (name == "transformer.ln_f.weight") return {{"model.norm.weight", config.d_model}};
  std::vector<HfPart> parts;
  if (name.starts_with(kBlocks)) {
    const std::size_t dot = name.find('.', kBlocks.size());
    parts = BlockPartsOf(std::string_view(name).substr(dot + 1), config);
    for (HfPart& part : parts) {
      part.name = fmt::format("model.layers.{}.{}", name.substr(kBlocks.size(), dot - kBlocks.size()), part.name);
    }
  }
  COAT_REQUIRE(!parts.empty(), "HfPartsOf: {} is no parameter of an OLMo model", name);
  return parts;
}

}  // namespace coat
