#include <string>
#include <vector>

#include "config/validate.h"
#include "tests/support/config_testing.h"

namespace coat {
namespace {

/// The error for a recipe and further keys on the command line, without "on the command line: --".
std::string ErrorWith(const std::string& recipe, std::vector<std::string> overrides) {
  overrides.push_back("--quantize_model.use_quantize_model=" + recipe);
  const std::string error = ConfigErrorOf([&] { Validate(Parse(kSmallConfig, overrides)); });
  const std::string start = "on the command line: --";
  return error.rfind(start, 0) == 0 ? error.substr(start.size()) : error;
}

TEST(QuantizeModelConfig, FillsInTheRecipesFormats) {
  QuantizeModelConfig config;
  for (const QuantizeModel recipe : {QuantizeModel::kCoatReal, QuantizeModel::kFp8Linear}) {
    config.use_quantize_model = recipe;
    EXPECT_EQ(config.Formats(), OperandFormats());
    EXPECT_EQ(config.Formats().fobit, Fp8Format::kE4M3);
    EXPECT_EQ(config.Formats().bobit, Fp8Format::kE5M2);
  }
  config.use_quantize_model = QuantizeModel::kFp8DeepSeek;
  EXPECT_EQ(config.Formats().babit, Fp8Format::kE4M3);
  EXPECT_EQ(config.Formats().bwbit, Fp8Format::kE4M3);
  EXPECT_EQ(config.Formats().bobit, Fp8Format::kE4M3);
  config.babit = Fp8Format::kE5M2;
  config.fabit = Fp8Format::kE5M2;
  EXPECT_EQ(config.Formats().babit, Fp8Format::kE5M2);
  EXPECT_EQ(config.Formats().fabit, Fp8Format::kE5M2);
}

TEST(CheckRecipe, BlockScalesAndFastAccumulationExcludeEachOther) {
  for (const char* value : {"none", "null"}) {
    EXPECT_EQ(
        ErrorWith("fp8deepseek", {"--model.d_model=128", std::string("--quantize_model.fast_accumulation=") + value}),
        "no error");
  }
  EXPECT_EQ(ErrorWith("fp8deepseek", {"--model.d_model=128", "--quantize_model.fast_accumulation=all"}),
            "quantize_model.fast_accumulation: found all; accepted with use_quantize_model: fp8deepseek: none, null");
  EXPECT_EQ(ErrorWith("coat_real", {"--quantize_model.fast_accumulation=fast"}),
            "quantize_model.fast_accumulation: found `fast`; accepted: none, forward_and_input_gradient, all, null");
}

TEST(CheckRecipe, EveryRecipeTakesAFittingModel) {
  for (const char* recipe : {"null", "coat_real", "fp8linear", "fp8deepseek"}) {
    EXPECT_EQ(ErrorWith(recipe, {"--model.d_model=128"}), "no error") << recipe;
  }
}

/// The notes on keys without effect that these keys bring.
std::vector<std::string> NotesWith(std::vector<std::string> overrides) {
  overrides.push_back("--model.d_model=128");
  return Validate(Parse(kSmallConfig, overrides)).without_effect;
}

TEST(CheckRecipe, NamesKeysThatTheRecipeDoesNotRead) {
  using Notes = std::vector<std::string>;
  const Notes keys = {"--quantize_model.bobit=E4M3", "--quantize_model.group_size=32", "--quantize_model.fobit=E5M2"};
  const auto with = [&](const char* recipe) {
    Notes overrides = keys;
    overrides.push_back(std::string("--quantize_model.use_quantize_model=") + recipe);
    return NotesWith(overrides);
  };
  EXPECT_EQ(with("coat_real"), Notes());
  EXPECT_EQ(with("fp8linear"), Notes{"quantize_model.group_size, fobit: only coat_real keeps activations in groups"});
  EXPECT_EQ(with("fp8deepseek"), Notes{"quantize_model.group_size, fobit: only coat_real keeps activations in groups"});
  EXPECT_EQ(with("null"), Notes{"quantize_model.group_size, fobit, bobit: without use_quantize_model"});
  EXPECT_EQ(NotesWith({"--quantize_model.weight_memory_efficient=true"}), Notes()) << "of bf16 weights too";
}

TEST(CheckRecipe, NamesKeysOfTheFp8OptimizerWithoutIt) {
  using Notes = std::vector<std::string>;
  const Notes keys = {"--quantize_optimizer.qgroup_size=64", "--quantize_optimizer.second_order_expansion=true"};
  EXPECT_EQ(NotesWith(keys),
            Notes{"quantize_optimizer.qgroup_size, second_order_expansion: without use_quantize_optimizer"});
  EXPECT_EQ(
      NotesWith({"--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw", "--quantize_optimizer.expand_min=8"}),
      Notes{"quantize_optimizer.expand_min: without expansion"});
  Notes used = keys;
  used.push_back("--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw");
  EXPECT_EQ(NotesWith(used), Notes());
}

TEST(CheckRecipe, GroupSizesAreFour) {
  for (const char* size : {"16", "32", "64", "128"}) {
    EXPECT_EQ(ErrorWith("coat_real", {std::string("--quantize_model.group_size=") + size}), "no error") << size;
  }
  for (const char* size : {"0", "8", "48", "256"}) {
    EXPECT_EQ(ErrorWith("null", {std::string("--quantize_model.group_size=") + size}),
              std::string("quantize_model.group_size: found ") + size + "; accepted: 16, 32, 64, 128");
  }
}

TEST(CheckRecipe, Fp8NeedsAmpBf16) {
  for (const char* recipe : {"coat_real", "fp8linear", "fp8deepseek"}) {
    EXPECT_EQ(ErrorWith(recipe, {"--precision=fp32"}),
              std::string("precision: found fp32; accepted with use_quantize_model: ") + recipe + ": amp_bf16");
  }
  EXPECT_EQ(ErrorWith("null", {"--precision=fp32"}), "no error");
}

TEST(CheckRecipe, NoProductOfTwoE5M2) {
  const auto key = [](const std::string& name, const std::string& format) {
    return "--quantize_model." + name + "=" + format;
  };
  const std::string tail = ", both E5M2, and there is no such FP8 product; accepted: E4M3 for ";
  // By default the gradients are E5M2, so an E5M2 weight or activation has no partner.
  EXPECT_EQ(ErrorWith("coat_real", {key("fwbit", "E5M2")}),
            "quantize_model.fwbit: the input gradient inside a block is a product of babit and fwbit" + tail +
                "babit or fwbit");
  EXPECT_EQ(ErrorWith("fp8linear", {key("fwbit", "E5M2"), key("babit", "E4M3")}),
            "quantize_model.fwbit: the input gradient of a block's last layer is a product of bobit and fwbit" + tail +
                "bobit or fwbit");
  EXPECT_EQ(ErrorWith("coat_real", {key("fabit", "E5M2")}),
            "quantize_model.fabit: the weight gradient is a product of bwbit and fabit" + tail + "bwbit or fabit");
  EXPECT_EQ(ErrorWith("fp8deepseek", {"--model.d_model=128", key("fabit", "E5M2"), key("fwbit", "E5M2")}),
            "quantize_model.fabit: the output is a product of fabit and fwbit" + tail + "fabit or fwbit");
  EXPECT_EQ(ErrorWith("fp8deepseek", {"--model.d_model=128", key("fabit", "E5M2"), key("bwbit", "E5M2")}),
            "quantize_model.bwbit: the weight gradient is a product of bwbit and fabit" + tail + "bwbit or fabit");
  EXPECT_EQ(ErrorWith("fp8deepseek", {"--model.d_model=128", key("fabit", "E5M2")}), "no error");
  EXPECT_EQ(ErrorWith("coat_real", {key("fwbit", "E5M2"), key("babit", "E4M3"), key("bobit", "E4M3")}), "no error");
  EXPECT_EQ(ErrorWith("coat_real", {key("fobit", "E5M2")}), "no error");
  EXPECT_EQ(ErrorWith("null", {key("fabit", "E5M2"), key("fwbit", "E5M2")}), "no error");
}

TEST(CheckRecipe, WidthsNameTheKeyThatHasToChange) {
  EXPECT_EQ(ErrorWith("coat_real", {"--model.d_model=72"}),
            "model.d_model: a width of 72; accepted with use_quantize_model: coat_real: a multiple of 16");
  EXPECT_EQ(ErrorWith("fp8linear", {"--model.mlp_hidden_size=24"}),
            "model.mlp_hidden_size: an inner width (half of the feed-forward width) of 12; accepted with "
            "use_quantize_model: fp8linear: a multiple of 16");
  EXPECT_EQ(ErrorWith("fp8linear", {"--model.d_model=48", "--model.mlp_ratio=1"}),
            "model.mlp_ratio: an inner width (half of the feed-forward width) of 24; accepted with "
            "use_quantize_model: fp8linear: a multiple of 16");
  EXPECT_EQ(ErrorWith("coat_real", {"--model.mlp_hidden_size=96", "--quantize_model.group_size=32"}),
            "model.mlp_hidden_size: an inner width (half of the feed-forward width) of 48; accepted: a multiple of "
            "quantize_model.group_size, 32");
  EXPECT_EQ(
      ErrorWith("fp8linear", {"--model.d_model=48", "--model.n_heads=12", "--model.n_kv_heads=1"}),
      "model.n_kv_heads: a width of queries, keys and values of 56; accepted with use_quantize_model: fp8linear: a "
      "multiple of 16");
  EXPECT_EQ(ErrorWith("fp8deepseek", {"--model.d_model=192"}),
            "model.d_model: a width of 192; accepted with use_quantize_model: fp8deepseek: a multiple of 128");
  EXPECT_EQ(ErrorWith("fp8deepseek", {"--model.d_model=128", "--model.mlp_hidden_size=384"}),
            "model.mlp_hidden_size: an inner width (half of the feed-forward width) of 192; accepted with "
            "use_quantize_model: fp8deepseek: a multiple of 128");
}

TEST(CheckRecipe, GroupsOfBranchesMustBeWhole) {
  const auto with = [](std::vector<std::string> overrides) {
    overrides.insert(overrides.end(), {"--model.layer_norm_type=rms", "--model.layer_norm_with_affine=true",
                                       "--model.norm_after=true", "--quantize_model.group_size=64"});
    return ErrorWith("coat_real", overrides);
  };
  EXPECT_EQ(with({"--model.attention_layer_norm=true"}), "no error");
  EXPECT_EQ(with({"--model.d_model=96", "--model.mlp_hidden_size=128"}),
            "model.d_model: a width of 96; accepted: a multiple of quantize_model.group_size, 64");
  EXPECT_EQ(with({"--model.n_kv_heads=1", "--model.attention_layer_norm=true"}), "no error");
}

TEST(CheckRecipe, BlocksOfTokensMustBeWhole) {
  const std::vector<std::string> base = {"--model.d_model=128", "--model.max_sequence_length=32"};
  const auto with = [&](const std::string& batch, const std::string& micro) {
    std::vector<std::string> overrides = base;
    overrides.push_back("--global_train_batch_size=" + batch);
    overrides.push_back("--device_train_microbatch_size=" + micro);
    return ErrorWith("fp8deepseek", overrides);
  };
  const std::string head =
      "device_train_microbatch_size: tokens in a micro-batch, of model.max_sequence_length each, of ";
  const std::string tail = "; accepted with use_quantize_model: fp8deepseek: a multiple of 128";
  EXPECT_EQ(with("16", "4"), "no error");
  EXPECT_EQ(with("16", "3"), head + "96" + tail);
  EXPECT_EQ(with("18", "4"), head + "64" + tail) << "the last micro-batch has two sequences";
  EXPECT_EQ(with("4", "7"), "no error") << "the batch is one micro-batch";
}

}  // namespace
}  // namespace coat
