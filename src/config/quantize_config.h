#pragma once
// The sections `quantize_model` and `quantize_optimizer`: COAT's switches. Field names are COAT's keys.

#include <cstdint>
#include <optional>
#include <string>

#include "config/enumerations.h"
#include "config/field.h"

namespace coat {

/// The FP8 format of each operand, with the recipe's defaults filled in.
struct OperandFormats {
  Fp8Format fabit = Fp8Format::kE4M3;
  Fp8Format fwbit = Fp8Format::kE4M3;
  Fp8Format fobit = Fp8Format::kE4M3;
  Fp8Format babit = Fp8Format::kE5M2;
  Fp8Format bwbit = Fp8Format::kE5M2;
  Fp8Format bobit = Fp8Format::kE5M2;

  bool operator==(const OperandFormats&) const = default;
};

struct QuantizeModelConfig {
  std::optional<QuantizeModel> use_quantize_model = std::nullopt;
  std::int64_t group_size = 16;
  bool weight_memory_efficient = false;
  std::optional<WeightCache> weight_cache = std::nullopt;  // coat's own key
  std::optional<Fp8Format> fabit = std::nullopt;
  std::optional<Fp8Format> fwbit = std::nullopt;
  std::optional<Fp8Format> fobit = std::nullopt;
  std::optional<Fp8Format> babit = std::nullopt;
  std::optional<Fp8Format> bwbit = std::nullopt;
  std::optional<Fp8Format> bobit = std::nullopt;
  std::optional<FastAccumulation> fast_accumulation = std::nullopt;  // coat's own key
  std::optional<std::string> Ubit = std::nullopt;
  std::int64_t row_blocksize = 32;
  std::int64_t col_blocksize = 32;
  std::int64_t min_blockunit_row = 1;
  std::int64_t min_blockunit_col = 16;
  double epsilon = 1e-10;
  bool refine_attn_blocksize = false;
  bool refine_mlp_blocksize = false;
  std::int64_t refine_row_blocksize = 1;
  std::int64_t refine_col_blocksize = 16;

  /// What each bit key means: itself or, where null, the recipe's default (coat_real and fp8linear: E4M3 forward and
  /// E5M2 backward; fp8deepseek: E4M3 throughout).
  OperandFormats Formats() const;
  /// What weight_cache means: itself or, where null, what weight_memory_efficient says: none or both.
  WeightCache CachedWeights() const;
  /// What fast_accumulation means: itself or, where null, the recipe's default (fp8deepseek: none, else
  /// forward_and_input_gradient).
  FastAccumulation FastProducts() const;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("use_quantize_model", self.use_quantize_model, Honored("FP8 recipe; null: none"));
    visit("group_size", self.group_size,
          Honored("elements that share a scale in a saved activation: 16, 32, 64 or 128"));
    visit("weight_memory_efficient", self.weight_memory_efficient,
          Honored("true: keep only the scale of a weight and quantize it at each use; false: keep the codes"));
    visit("fabit", self.fabit, Honored("forward: activations"));
    visit("fwbit", self.fwbit, Honored("forward: weights, and the weights that the input gradient is made with"));
    visit("fobit", self.fobit, Honored("forward: outputs that are kept in groups"));
    visit("babit", self.babit, Honored("backward: gradients inside a block"));
    visit("bwbit", self.bwbit, Honored("backward: gradients as the weight gradient is made with them"));
    visit("bobit", self.bobit, Honored("backward: gradients that enter a block or a linear layer"));
    visit("weight_cache", self.weight_cache,
          Honored("what is kept of a weight over a step: nothing (none: it is quantized at each use), its FP8 codes "
                  "(codes: transposed at each use in backward) or all operands (both); null: none with "
                  "weight_memory_efficient, else both. Same results; 0, 1 or 2 bytes a parameter; not a key of OLMo"));
    visit("fast_accumulation", self.fast_accumulation,
          Honored("FP8 products that may sum with about 14 bits between products, 10 to 25 % faster on Hopper and "
                  "without effect elsewhere; null: forward_and_input_gradient, or none with fp8deepseek; not a key of "
                  "OLMo"));
    visit("Ubit", self.Ubit, NoEffect("left over in COAT"));
    visit("row_blocksize", self.row_blocksize, NoEffect("left over in COAT"));
    visit("col_blocksize", self.col_blocksize, NoEffect("left over in COAT"));
    visit("min_blockunit_row", self.min_blockunit_row, NoEffect("left over in COAT"));
    visit("min_blockunit_col", self.min_blockunit_col, NoEffect("left over in COAT"));
    visit("epsilon", self.epsilon, NoEffect("left over in COAT: a group of zeros has scale 1"));
    visit("refine_attn_blocksize", self.refine_attn_blocksize, NoEffect("left over in COAT"));
    visit("refine_mlp_blocksize", self.refine_mlp_blocksize, NoEffect("left over in COAT"));
    visit("refine_row_blocksize", self.refine_row_blocksize, NoEffect("left over in COAT"));
    visit("refine_col_blocksize", self.refine_col_blocksize, NoEffect("left over in COAT"));
  }
};

struct QuantizeOptimizerConfig {
  std::optional<QuantizeOptimizer> use_quantize_optimizer = std::nullopt;
  std::int64_t qgroup_size = 128;
  std::int64_t expand_min = 16;
  Fp8Format first_order_bit = Fp8Format::kE4M3;
  Fp8Format second_order_bit = Fp8Format::kE4M3;
  Expansion first_order_expansion = Expansion::kOff;
  Expansion second_order_expansion = Expansion::kOff;
  double epsilon = 1e-15;
  std::int64_t row_blocksize = 1;
  std::int64_t col_blocksize = 128;
  bool pad_block = false;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("use_quantize_optimizer", self.use_quantize_optimizer, Honored("FP8 optimizer; null: none"));
    visit("qgroup_size", self.qgroup_size, Honored("moments that share a scale: a multiple of 32 up to 256"));
    visit("expand_min", self.expand_min, Honored("the exponent of an expansion is a multiple of 1 / expand_min"));
    visit("first_order_bit", self.first_order_bit, Honored("format of the first moment"));
    visit("second_order_bit", self.second_order_bit, Honored("format of the second moment"));
    visit("first_order_expansion", self.first_order_expansion, Honored("expand the range of the first moment"));
    visit("second_order_expansion", self.second_order_expansion, Honored("expand the range of the second moment"));
    visit("epsilon", self.epsilon, NoEffect("left over in COAT"));
    visit("row_blocksize", self.row_blocksize, NoEffect("left over in COAT"));
    visit("col_blocksize", self.col_blocksize, NoEffect("left over in COAT"));
    visit("pad_block", self.pad_block, NoEffect("left over in COAT"));
  }
};

}  // namespace coat
