// What the numbers of the architecture must satisfy together.

#include <fmt/core.h>

#include "base/head_size.h"
#include "config/checker.h"
#include "config/scalar.h"

namespace coat {

namespace {

constexpr std::int64_t kMostLayers = 65535;  // each has parameters of its own, so memory is used for every one

void CheckHeads(const ModelConfig& model, ConfigChecker& checker) {
  if (model.d_model % model.n_heads != 0) {
    checker.Fail("model.n_heads",
                 fmt::format("found {}; accepted: a divisor of model.d_model, {}", model.n_heads, model.d_model));
  }
  if (model.HeadSize() % 2 != 0) {
    checker.Fail("model.n_heads", fmt::format("{} heads of {} elements; accepted: an even head size, as rotary "
                                              "positions turn pairs",
                                              model.n_heads, model.HeadSize()));
  }
  if (model.HeadSize() > kMaxHeadSize) {
    checker.Fail("model.n_heads", fmt::format("{} heads of {} elements; accepted: a head size up to {}", model.n_heads,
                                              model.HeadSize(), kMaxHeadSize));
  }
  if (model.n_kv_heads && model.n_heads % *model.n_kv_heads != 0) {
    checker.Fail("model.n_kv_heads",
                 fmt::format("found {}; accepted: a divisor of model.n_heads, {}", *model.n_kv_heads, model.n_heads));
  }
  if (model.n_kv_heads && model.multi_query_attention) {
    const std::int64_t meant = *model.multi_query_attention ? 1 : model.n_heads;
    if (*model.n_kv_heads != meant) {
      checker.Fail("model.n_kv_heads",
                   fmt::format("found {}, but multi_query_attention: {} means {}; accepted: one of the two keys",
                               *model.n_kv_heads, *model.multi_query_attention, meant));
    }
  }
}

void CheckFeedForward(const ModelConfig& model, ConfigChecker& checker) {
  if (model.FeedForwardWidth() % 2 == 0) return;
  const std::string_view path = model.mlp_hidden_size ? "model.mlp_hidden_size" : "model.mlp_ratio";
  checker.Fail(path, fmt::format("a feed-forward width of {}; accepted: an even one, as SwiGLU halves it",
                                 model.FeedForwardWidth()));
}

/// Two architectures: LayerNorms without weight ahead of the branches (OLMo 1), RMSNorms with weight behind them (OLMo
/// 2).
void CheckNorms(const ModelConfig& model, ConfigChecker& checker) {
  const bool rms = model.layer_norm_type == LayerNormType::kRms;
  const auto require = [&](std::string_view path, bool found, bool accepted) {
    if (found == accepted) return;
    checker.Fail(path, fmt::format("found {}; accepted with layer_norm_type: {}: {}", found,
                                   NameOf(model.layer_norm_type), accepted));
  };
  require("model.norm_after", model.norm_after, rms);
  require("model.layer_norm_with_affine", model.layer_norm_with_affine, rms);
  if (!model.attention_layer_norm) return;
  require("model.attention_layer_norm", true, rms);
  require("model.attention_layer_norm_with_affine", model.attention_layer_norm_with_affine, true);
  if (model.clip_qkv) {
    checker.Fail("model.clip_qkv",
                 fmt::format("found {}; accepted with attention_layer_norm: null", NumberText(*model.clip_qkv)));
  }
}

void CheckVocabulary(const ModelConfig& model, ConfigChecker& checker) {
  if (model.EmbeddingRows() < model.vocab_size) {
    checker.Fail("model.embedding_size", fmt::format("found {}; accepted: at least model.vocab_size, {}",
                                                     model.EmbeddingRows(), model.vocab_size));
  }
  if (model.EmbeddingRows() % 128 != 0) {
    checker.Warn(model.embedding_size ? "model.embedding_size" : "model.vocab_size",
                 fmt::format("{} rows are slower than a multiple of 128", model.EmbeddingRows()));
  }
  checker.RequireWithin("model.eos_token_id", model.eos_token_id, 0, model.vocab_size - 1);
  checker.RequireWithin("model.pad_token_id", model.pad_token_id, 0, model.vocab_size - 1);
}

}  // namespace

void CheckModel(const ModelConfig& model, ConfigChecker& checker) {
  checker.RequireWithin("model.d_model", model.d_model, 1);
  checker.RequireWithin("model.n_heads", model.n_heads, 1);
  checker.RequireWithin("model.n_kv_heads", model.n_kv_heads, 1);
  checker.RequireWithin("model.n_layers", model.n_layers, 1, kMostLayers);
  checker.RequireWithin("model.mlp_ratio", model.mlp_ratio, 1);
  checker.RequireWithin("model.mlp_hidden_size", model.mlp_hidden_size, 1);
  checker.RequireWithin("model.max_sequence_length", model.max_sequence_length, 2);
  checker.RequireWithin("model.vocab_size", model.vocab_size, 1);
  checker.RequireWithin("model.embedding_size", model.embedding_size, 1);
  checker.RequireWithin("model.rope_theta", model.rope_theta, 1);
  checker.RequirePositive("model.clip_qkv", model.clip_qkv);
  checker.RequirePositive("model.layer_norm_eps", model.layer_norm_eps);
  checker.RequirePositive("model.init_std", model.init_std);
  checker.RequirePositive("model.init_cutoff_factor", model.init_cutoff_factor);
  checker.RequirePositive("model.emb_init_std", model.emb_init_std);
  CheckHeads(model, checker);
  if (model.clip_qkv && model.QkvWidth() % 8 != 0) {
    checker.Fail("model.clip_qkv", fmt::format("a width of queries, keys and values of {}; accepted with clip_qkv: a "
                                               "multiple of 8",
                                               model.QkvWidth()));
  }
  CheckFeedForward(model, checker);
  CheckNorms(model, checker);
  CheckVocabulary(model, checker);
  if (model.scale_emb_init && model.init_fn != InitFunction::kFullMegatron) {
    checker.Warn("model.scale_emb_init", "has an effect with init_fn: full_megatron only");
  }
}

}  // namespace coat
