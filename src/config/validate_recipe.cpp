// What the FP8 recipes need: precision, widths, and products that the hardware has.

#include <fmt/core.h>

#include <initializer_list>
#include <string>

#include "config/checker.h"
#include "config/tree.h"
#include "config/yaml_text.h"

namespace coat {

namespace {

/// `width` must be a multiple of `unit`; `path` is the key that has to change.
void RequireMultiple(std::string_view path, std::string_view what, std::int64_t width, std::int64_t unit,
                     std::string_view recipe, ConfigChecker& checker) {
  if (width % unit == 0) return;
  checker.Fail(
      path, fmt::format("{} of {}; accepted with use_quantize_model: {}: a multiple of {}", what, width, recipe, unit));
}

struct Operand {
  std::string_view key;
  Fp8Format format;
  bool set;
};

/// Hopper multiplies E4M3 by either format, but not E5M2 by E5M2.
void RequireProduct(const Operand& a, const Operand& b, std::string_view product, ConfigChecker& checker) {
  if (a.format == Fp8Format::kE4M3 || b.format == Fp8Format::kE4M3) return;
  const Operand& named = a.set ? a : b;
  checker.Fail(
      fmt::format("quantize_model.{}", named.key),
      fmt::format("the {} is a product of {} and {}, both E5M2, and there is no such FP8 product; accepted: E4M3 "
                  "for {} or {}",
                  product, a.key, b.key, a.key, b.key));
}

void CheckProducts(const QuantizeModelConfig& fp8, ConfigChecker& checker) {
  const OperandFormats formats = fp8.Formats();
  const Operand fabit = {"fabit", formats.fabit, fp8.fabit.has_value()};
  const Operand fwbit = {"fwbit", formats.fwbit, fp8.fwbit.has_value()};
  const Operand babit = {"babit", formats.babit, fp8.babit.has_value()};
  const Operand bwbit = {"bwbit", formats.bwbit, fp8.bwbit.has_value()};
  const Operand bobit = {"bobit", formats.bobit, fp8.bobit.has_value()};
  RequireProduct(fabit, fwbit, "output", checker);
  RequireProduct(babit, fwbit, "input gradient inside a block", checker);
  RequireProduct(bobit, fwbit, "input gradient of a block's last layer", checker);
  RequireProduct(bwbit, fabit, "weight gradient", checker);
}

void CheckWidths(const TrainConfig& config, std::int64_t unit, std::string_view recipe, ConfigChecker& checker) {
  const ModelConfig& model = config.model;
  const std::string_view hidden = model.mlp_hidden_size ? "model.mlp_hidden_size" : "model.mlp_ratio";
  const std::string_view heads = model.n_kv_heads ? "model.n_kv_heads" : "model.multi_query_attention";
  RequireMultiple("model.d_model", "a width", model.d_model, unit, recipe, checker);
  RequireMultiple(heads, "a width of queries, keys and values", model.QkvWidth(), unit, recipe, checker);
  RequireMultiple(hidden, "an inner width (half of the feed-forward width)", model.HiddenWidth(), unit, recipe,
                  checker);
}

/// What COAT keeps in groups must consist of whole ones: up and gate, and the branches that RMSNorms take in.
void CheckGroups(const ModelConfig& model, std::int64_t group_size, ConfigChecker& checker) {
  const auto require = [&](std::string_view path, std::string_view what, std::int64_t width) {
    if (width % group_size == 0) return;
    checker.Fail(
        path, fmt::format("{} of {}; accepted: a multiple of quantize_model.group_size, {}", what, width, group_size));
  };
  require(model.mlp_hidden_size ? "model.mlp_hidden_size" : "model.mlp_ratio",
          "an inner width (half of the feed-forward width)", model.HiddenWidth());
  if (model.norm_after) require("model.d_model", "a width", model.d_model);
}

/// Notes which of `keys` of a section are not as by default, "quantize_model.fobit, bobit: why".
template <ConfigSection Section>
void NoteUnread(const Section& section, std::string_view path, std::initializer_list<std::string_view> keys,
                std::string_view why, ConfigChecker& checker) {
  const Node values = ToNode(section);
  const Node defaults = ToNode(Section());
  std::string changed;
  for (const std::string_view key : keys) {
    if (YamlText(*values.Find(key)) == YamlText(*defaults.Find(key))) continue;
    changed += fmt::format("{}{}", changed.empty() ? "" : ", ", key);
  }
  if (!changed.empty()) checker.NoteWithoutEffect(fmt::format("{}.{}", path, changed), why);
}

/// Keys that what is chosen does not read.
void CheckUnread(const TrainConfig& config, ConfigChecker& checker) {
  const QuantizeModelConfig& fp8 = config.quantize_model;
  if (!fp8.use_quantize_model) {
    NoteUnread(fp8, "quantize_model",
               {"group_size", "fabit", "fwbit", "fobit", "babit", "bwbit", "bobit", "fast_accumulation"},
               "without use_quantize_model", checker);
  } else if (*fp8.use_quantize_model != QuantizeModel::kCoatReal) {
    NoteUnread(fp8, "quantize_model", {"group_size", "fobit"}, "only coat_real keeps activations in groups", checker);
  }
  const QuantizeOptimizerConfig& optimizer = config.quantize_optimizer;
  if (!optimizer.use_quantize_optimizer) {
    NoteUnread(optimizer, "quantize_optimizer",
               {"qgroup_size", "expand_min", "first_order_bit", "second_order_bit", "first_order_expansion",
                "second_order_expansion"},
               "without use_quantize_optimizer", checker);
  } else if (optimizer.first_order_expansion == Expansion::kOff &&
             optimizer.second_order_expansion == Expansion::kOff) {
    NoteUnread(optimizer, "quantize_optimizer", {"expand_min"}, "without expansion", checker);
  }
  if (config.precision == Precision::kFp32 && config.gradient_precision == GradientPrecision::kBf16) {
    checker.NoteWithoutEffect("gradient_precision", "with precision: fp32 gradients are float32");
  }
}

}  // namespace

void CheckRecipe(const TrainConfig& config, ConfigChecker& checker) {
  const QuantizeModelConfig& fp8 = config.quantize_model;
  if (fp8.group_size != 16 && fp8.group_size != 32 && fp8.group_size != 64 && fp8.group_size != 128) {
    checker.Fail("quantize_model.group_size", fmt::format("found {}; accepted: 16, 32, 64, 128", fp8.group_size));
  }
  CheckUnread(config, checker);
  if (!fp8.use_quantize_model) return;
  const std::string_view recipe = NameOf(*fp8.use_quantize_model);
  if (config.precision != Precision::kAmpBf16) {
    checker.Fail("precision", fmt::format("found {}; accepted with use_quantize_model: {}: amp_bf16",
                                          NameOf(*config.precision), recipe));
  }
  CheckProducts(fp8, checker);
  if (*fp8.use_quantize_model != QuantizeModel::kFp8DeepSeek) {
    CheckWidths(config, 16, recipe, checker);
    if (*fp8.use_quantize_model == QuantizeModel::kCoatReal) CheckGroups(config.model, fp8.group_size, checker);
    return;
  }
  if (fp8.FastProducts() != FastAccumulation::kNone) {
    checker.Fail(
        "quantize_model.fast_accumulation",
        fmt::format("found {}; accepted with use_quantize_model: {}: none, null", NameOf(fp8.FastProducts()), recipe));
  }
  constexpr std::int64_t kBlock = 128;
  CheckWidths(config, kBlock, recipe, checker);
  for (const std::int64_t sequences : {config.MicroBatch(), config.DeviceBatch() % config.MicroBatch()}) {
    RequireMultiple("device_train_microbatch_size", "tokens in a micro-batch, of model.max_sequence_length each,",
                    sequences * config.model.max_sequence_length, kBlock, recipe, checker);
  }
}

}  // namespace coat
