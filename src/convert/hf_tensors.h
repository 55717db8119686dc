#pragma once
// Which tensors of a Hugging Face OlmoForCausalLM or Olmo2ForCausalLM make up which of ours.

#include <cstdint>
#include <string>
#include <vector>

#include "config/model_config.h"

namespace coat {

/// Whole rows of one of our tensors that are a tensor of their own there.
struct HfPart {
  std::string name;
  std::int64_t rows = 0;
};

/// The parts of our parameter `name` from the first row to the last.
///
/// att_proj is q_proj, k_proj and v_proj; ff_proj is up_proj, then gate_proj; a norm's weight has one element a row.
/// Rotary positions turn the same pairs on both sides, so no rows change places. The head of a tied model is its
/// embedding and no parameter. Throws ArgumentError for a name that no model has.
/// Source: OLMo's convert_olmo_to_hf_new.py, transformers' convert_olmo2_weights_to_hf.py.
std::vector<HfPart> HfPartsOf(const std::string& name, const ModelConfig& config);

/// The embedding and the head, there.
inline constexpr const char* kHfEmbedding = "model.embed_tokens.weight";
inline constexpr const char* kHfHead = "lm_head.weight";

}  // namespace coat
