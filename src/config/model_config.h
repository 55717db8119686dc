#pragma once
// The section `model`: the architecture. Field names are OLMo's keys, values its defaults.

#include <cstdint>
#include <optional>
#include <string>

#include "config/enumerations.h"
#include "config/field.h"

namespace coat {

struct ModelConfig {
  std::int64_t d_model = 768;
  std::int64_t n_heads = 12;
  std::optional<std::int64_t> n_kv_heads = std::nullopt;
  std::optional<double> clip_qkv = std::nullopt;
  std::int64_t n_layers = 12;
  std::int64_t mlp_ratio = 4;
  std::optional<std::int64_t> mlp_hidden_size = std::nullopt;
  ActivationType activation_type = ActivationType::kSwiglu;
  BlockType block_type = BlockType::kSequential;
  std::int64_t block_group_size = 1;
  bool alibi = false;
  double alibi_bias_max = 8.0;
  bool rope = false;
  bool rope_full_precision = true;
  std::int64_t rope_theta = 10000;
  bool flash_attention = false;
  double attention_dropout = 0.1;
  std::optional<bool> multi_query_attention = std::nullopt;
  bool attention_layer_norm = false;
  double residual_dropout = 0.1;
  double embedding_dropout = 0.1;
  bool embedding_layer_norm = false;
  LayerNormType layer_norm_type = LayerNormType::kDefault;
  bool layer_norm_with_affine = true;
  double layer_norm_eps = 1e-5;
  bool attention_layer_norm_with_affine = true;
  std::int64_t max_sequence_length = 1024;
  bool include_bias = true;
  std::optional<bool> bias_for_layer_norm = std::nullopt;
  bool scale_logits = false;
  std::int64_t vocab_size = 50257;
  std::optional<std::int64_t> embedding_size = 50304;
  bool weight_tying = true;
  std::int64_t eos_token_id = 50256;
  std::int64_t pad_token_id = 50256;
  std::optional<std::string> init_device = std::nullopt;
  InitFunction init_fn = InitFunction::kNormal;
  double init_std = 0.02;
  std::optional<double> init_cutoff_factor = std::nullopt;
  std::optional<Precision> precision = std::nullopt;
  bool scale_emb_init = false;
  std::optional<double> emb_init_std = std::nullopt;
  bool norm_after = false;

  /// Key and value heads: n_kv_heads, or 1 with multi_query_attention, or n_heads.
  std::int64_t KvHeads() const {
    if (n_kv_heads) return *n_kv_heads;
    return multi_query_attention.value_or(false) ? 1 : n_heads;
  }
  /// Elements of one head.
  std::int64_t HeadSize() const { return d_model / n_heads; }
  /// Rows of att_proj: queries, keys and values.
  std::int64_t QkvWidth() const { return d_model + 2 * KvHeads() * HeadSize(); }
  /// Rows of ff_proj: up and gate together, F.
  std::int64_t FeedForwardWidth() const { return mlp_hidden_size.value_or(mlp_ratio * d_model); }
  /// Columns of ff_out, h: half of F, as SwiGLU halves it.
  std::int64_t HiddenWidth() const { return FeedForwardWidth() / 2; }
  /// Rows of the embedding and of the head: vocab_size padded.
  std::int64_t EmbeddingRows() const { return embedding_size.value_or(vocab_size); }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("d_model", self.d_model, Honored("width of the residual stream, D"));
    visit("n_heads", self.n_heads, Honored("query heads, H; must divide d_model into an even head size"));
    visit("n_kv_heads", self.n_kv_heads,
          Honored("key and value heads; null: n_heads, or 1 with multi_query_attention"));
    visit("clip_qkv", self.clip_qkv,
          Honored("clamp queries, keys and values to +- this; not with attention_layer_norm"));
    visit("n_layers", self.n_layers, Honored("blocks, L"));
    visit("mlp_ratio", self.mlp_ratio, Honored("F = mlp_ratio * d_model where mlp_hidden_size is null"));
    visit("mlp_hidden_size", self.mlp_hidden_size,
          Honored("rows of ff_proj, F: gate and up together, so twice the inner width"));
    visit("activation_type", self.activation_type, Only("swiglu", "activation of the MLP"));
    visit("block_type", self.block_type, Only("sequential", "attention, then MLP"));
    visit("block_group_size", self.block_group_size, Only("1", "blocks wrapped together"));
    visit("alibi", self.alibi, Only("false", "ALiBi position bias"));
    visit("alibi_bias_max", self.alibi_bias_max, NoEffect("slope of ALiBi, which is not available"));
    visit("rope", self.rope, Only("true", "rotary positions"));
    visit("rope_full_precision", self.rope_full_precision, Only("true", "rotate in float32"));
    visit("rope_theta", self.rope_theta, Honored("base of the rotary frequencies"));
    visit("flash_attention", self.flash_attention,
          NoEffect("choice of an attention kernel; ours never stores the scores"));
    visit("attention_dropout", self.attention_dropout, Only("0.0", "dropout of attention probabilities"));
    visit("multi_query_attention", self.multi_query_attention, Honored("older name for n_kv_heads: 1"));
    visit("attention_layer_norm", self.attention_layer_norm,
          Honored(
              "RMSNorm of a token's queries and of its keys, all heads together (QK-norm); with layer_norm_type: rms"));
    visit("residual_dropout", self.residual_dropout, Only("0.0", "dropout of the branches"));
    visit("embedding_dropout", self.embedding_dropout, Only("0.0", "dropout of the embedding"));
    visit("embedding_layer_norm", self.embedding_layer_norm, Only("false", "norm of the embedding"));
    visit("layer_norm_type", self.layer_norm_type,
          Honored("default and low_precision: LayerNorm; rms: RMSNorm, with norm_after"));
    visit("layer_norm_with_affine", self.layer_norm_with_affine,
          Honored("weight of the norms: true with layer_norm_type: rms, false with the others"));
    visit("layer_norm_eps", self.layer_norm_eps, Honored("added to the variance, or to the mean square"));
    visit("attention_layer_norm_with_affine", self.attention_layer_norm_with_affine,
          Honored("weight of the norms of attention_layer_norm; true with it"));
    visit("max_sequence_length", self.max_sequence_length, Honored("tokens of a sequence, T"));
    visit("include_bias", self.include_bias, Only("false", "biases of the linear layers"));
    visit("bias_for_layer_norm", self.bias_for_layer_norm,
          Only("null, false", "bias of the norms; null: as include_bias"));
    visit("scale_logits", self.scale_logits, Honored("multiply the logits by 1 / sqrt(d_model)"));
    visit("vocab_size", self.vocab_size, Honored("tokens of the vocabulary; larger ids in the data are errors"));
    visit("embedding_size", self.embedding_size,
          Honored("rows of the embedding, at least vocab_size; null: vocab_size"));
    visit("weight_tying", self.weight_tying, Honored("the head is the embedding"));
    visit("eos_token_id", self.eos_token_id, Honored("token that ends a document"));
    visit("pad_token_id", self.pad_token_id, Honored("token that fills a short sequence"));
    visit("init_device", self.init_device, NoEffect("where torch makes the weights"));
    visit("init_fn", self.init_fn, Only("normal, mitchell, full_megatron", "initialization"));
    visit("init_std", self.init_std, Honored("standard deviation for normal and full_megatron"));
    visit("init_cutoff_factor", self.init_cutoff_factor,
          Honored("truncate at so many standard deviations; null: 3 for mitchell and full_megatron, none for normal"));
    visit("precision", self.precision, Computed("the root's precision"));
    visit("scale_emb_init", self.scale_emb_init,
          Honored("multiply the embedding's init_std by sqrt(d_model); full_megatron only"));
    visit("emb_init_std", self.emb_init_std, Honored("standard deviation of the embedding; null: as the rest"));
    visit("norm_after", self.norm_after,
          Honored("norm a branch's output instead of its input (OLMo 2); true with layer_norm_type: rms"));
  }
};

}  // namespace coat
