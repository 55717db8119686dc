#pragma once
// Which tensors of a Hugging Face OlmoForCausalLM make up which of ours.

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

/// One of our parameters, [rows, columns], and its parts from the first row to the last.
struct HfMapping {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<HfPart> parts;
};

/// Every parameter of an OLMo model, in the order of our checkpoints. att_proj is q_proj, k_proj and v_proj; ff_proj is
/// up_proj, then gate_proj. Rotary positions turn the same pairs on both sides, so no rows change places. The head of a
/// tied model is its embedding and no tensor of its own. Source: OLMo's convert_olmo_to_hf_new.py.
std::vector<HfMapping> MapOlmoToHf(const ModelConfig& config);

/// The embedding and the head, there.
inline constexpr const char* kHfEmbedding = "model.embed_tokens.weight";
inline constexpr const char* kHfHead = "lm_head.weight";

}  // namespace coat
