// The files in configs/ and docs/config.md.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "config/dump.h"
#include "config/validate.h"
#include "tests/support/config_testing.h"

namespace coat {
namespace {

const std::filesystem::path kRoot = COAT_SOURCE_DIR;

/// "coat/OLMo-1B-COAT-Both" and so on: every YAML file below configs/.
std::map<std::string, TrainConfig> Shipped() {
  std::map<std::string, TrainConfig> configs;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot / "configs")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string name = std::filesystem::relative(entry.path(), kRoot / "configs").replace_extension();
    configs[name] = LoadTrainConfig(entry.path());
  }
  return configs;
}

TEST(ShippedConfigs, AreAllThere) {
  std::set<std::string> names;
  for (const auto& [name, config] : Shipped()) names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{
                       "coat/OLMo-1B-COAT-Activation",
                       "coat/OLMo-1B-COAT-Both",
                       "coat/OLMo-1B-COAT-Optimizer",
                       "coat/OLMo-7B-COAT-Activation",
                       "coat/OLMo-7B-COAT-Both",
                       "coat/OLMo-7B-COAT-Both-MemBench",
                       "coat/OLMo-7B-COAT-Both-SpeedBench",
                       "coat/OLMo-7B-COAT-Optimizer",
                       "fp8linear/OLMo-1B-COAT-DeepSeek",
                       "fp8linear/OLMo-1B-COAT-PerTensor",
                       "fp8linear/OLMo-7B-COAT-DeepSeek",
                       "fp8linear/OLMo-7B-COAT-PerTensor",
                       "olmo2/OLMo2-1B",
                       "olmo2/OLMo2-1B-COAT-Both",
                       "olmo2/OLMo2-32B",
                       "olmo2/OLMo2-32B-COAT-Both",
                       "olmo2/OLMo2-7B",
                       "olmo2/OLMo2-7B-COAT-Both",
                       "reproduce/OLMo-1B-reproduce",
                       "reproduce/OLMo-7B-reproduce",
                       "reproduce/OLMo-7B-reproduce-MemBench",
                       "reproduce/OLMo-7B-reproduce-SpeedBench",
                       "text/text-bf16",
                       "text/text-coat-activation",
                       "text/text-coat-both",
                       "text/text-coat-optimizer",
                       "text/text-fp8deepseek",
                       "text/text-fp8linear",
                       "tiny/tiny-bf16",
                       "tiny/tiny-coat-activation",
                       "tiny/tiny-coat-both",
                       "tiny/tiny-coat-optimizer",
                       "tiny/tiny-fp8deepseek",
                       "tiny/tiny-fp8linear",
                       "tiny/tiny-instructions-both",
                       "tiny/tiny-olmo2-coat-both",
                   }));
}

TEST(ShippedConfigs, AreAcceptedWithoutAWarningAndDumpBack) {
  for (const auto& [name, config] : Shipped()) {
    SCOPED_TRACE(name);
    EXPECT_TRUE(Validate(config).warnings.empty());
    const std::string dump = Dump(config);
    EXPECT_EQ(Dump(ParseTrainConfig(dump, "dump")), dump);
  }
}

TEST(ShippedConfigs, NoTwoRunsShareANameOrAFolder) {
  std::set<std::string> folders;
  for (const auto& [name, config] : Shipped()) {
    EXPECT_EQ(config.run_name, std::filesystem::path(name).filename().string());
    EXPECT_TRUE(folders.insert(config.save_folder).second) << name;
    EXPECT_NE(config.save_folder.find(*config.run_name), std::string::npos) << name;
  }
}

TEST(ShippedConfigs, TrainAsLongAsMaxDurationSays) {
  for (const auto& [name, config] : Shipped()) EXPECT_EQ(config.stop_at, std::nullopt) << name;
}

TEST(ShippedConfigs, DoWhatTheirNamesSay) {
  for (const auto& [name, config] : Shipped()) {
    SCOPED_TRACE(name);
    const auto has = [&name = name](const char* part) { return name.find(part) != std::string::npos; };
    const bool both = has("Both") || has("both");
    const bool activation = both || has("Activation") || has("activation");
    const bool optimizer = both || has("Optimizer") || has("optimizer");
    std::optional<QuantizeModel> recipe;
    if (activation) recipe = QuantizeModel::kCoatReal;
    if (has("PerTensor") || has("-fp8linear")) recipe = QuantizeModel::kFp8Linear;
    if (has("DeepSeek") || has("deepseek")) recipe = QuantizeModel::kFp8DeepSeek;
    EXPECT_EQ(config.quantize_model.use_quantize_model, recipe);
    EXPECT_EQ(config.quantize_optimizer.use_quantize_optimizer.has_value(), optimizer);
    const Expansion expansion = optimizer ? Expansion::kOn : Expansion::kOff;
    EXPECT_EQ(config.quantize_optimizer.first_order_expansion, expansion);
    EXPECT_EQ(config.quantize_optimizer.second_order_expansion, expansion);
    if (activation) {
      EXPECT_TRUE(config.quantize_model.weight_memory_efficient);
      EXPECT_EQ(config.quantize_model.group_size, 16);
      EXPECT_EQ(config.quantize_model.babit, Fp8Format::kE5M2);
    }
  }
}

TEST(ShippedConfigs, HaveOlmosSizes) {
  const std::map<std::string, TrainConfig> configs = Shipped();
  struct Size {
    const char* name;
    std::int64_t batch, micro;
  };
  for (const Size& size :
       {Size{"coat/OLMo-1B-COAT-Both", 2048, 8}, Size{"coat/OLMo-7B-COAT-Both", 2048, 2},
        Size{"coat/OLMo-7B-COAT-Both-MemBench", 32, 2}, Size{"coat/OLMo-7B-COAT-Both-SpeedBench", 256, 4},
        Size{"fp8linear/OLMo-1B-COAT-DeepSeek", 256, 8}, Size{"fp8linear/OLMo-7B-COAT-PerTensor", 256, 2},
        Size{"olmo2/OLMo2-1B", 512, 4}, Size{"olmo2/OLMo2-7B-COAT-Both", 1024, 2}, Size{"olmo2/OLMo2-32B", 2048, 1},
        Size{"olmo2/OLMo2-32B-COAT-Both", 2048, 1}, Size{"reproduce/OLMo-1B-reproduce", 2048, 8},
        Size{"reproduce/OLMo-7B-reproduce-SpeedBench", 256, 2}}) {
    SCOPED_TRACE(size.name);
    EXPECT_EQ(configs.at(size.name).global_train_batch_size, size.batch);
    EXPECT_EQ(configs.at(size.name).device_train_microbatch_size, size.micro);
    EXPECT_EQ(configs.at(size.name).device_eval_batch_size, size.micro);
  }
  for (const auto& [name, config] : configs) {
    SCOPED_TRACE(name);
    const ModelConfig& m = config.model;
    const std::int64_t layer = m.d_model * (m.QkvWidth() + m.d_model + m.FeedForwardWidth() + m.HiddenWidth());
    const std::int64_t norms_of_layer = 3 * m.d_model + m.KvHeads() * m.HeadSize();
    const std::int64_t norms = m.norm_after ? m.n_layers * norms_of_layer + m.d_model : 0;
    const std::int64_t heads = m.weight_tying ? 1 : 2;
    const std::int64_t parameters = m.n_layers * layer + norms + heads * m.EmbeddingRows() * m.d_model;
    EXPECT_EQ(m.norm_after, name.find("lmo2") != std::string::npos || name.find("LMo2") != std::string::npos);
    if (name.find("olmo2/") == 0) {
      // The numbers of parameters of the published models.
      const std::int64_t published = name.find("32B") != std::string::npos  ? 32'234'279'936
                                     : name.find("1B") != std::string::npos ? 1'484'916'736
                                                                            : 7'298'617'344;
      EXPECT_EQ(parameters, published);
      EXPECT_EQ(m.rope_theta, 500'000);
      EXPECT_EQ(config.data.memmap_dtype, TokenType::kUint32);
      EXPECT_EQ(config.evaluators.at(0).data.memmap_dtype, TokenType::kUint32);
      continue;
    }
    if (name.find("1B") != std::string::npos) {
      EXPECT_EQ(parameters, 1'176'764'416);
      EXPECT_EQ(config.max_duration, (Duration{739'328, Duration::Unit::kSteps}));
      EXPECT_EQ(config.optimizer.learning_rate, 4e-4);
    } else if (name.find("7B") != std::string::npos) {
      EXPECT_EQ(parameters, 6'888'095'744);
      EXPECT_EQ(config.max_duration, (Duration{2'000'000'000'000, Duration::Unit::kTokens}));
      EXPECT_EQ(config.scheduler.name, SchedulerName::kLinearWithWarmup);
      EXPECT_EQ(config.scheduler.grad_clip_warmup_factor, 10.0);
    } else if (name.find("text") != std::string::npos) {
      EXPECT_EQ(parameters, 8 * (4 * 640 * 640 + 3 * 640 * 2560) + 16384 * 640);
      continue;
    } else if (m.norm_after) {
      EXPECT_EQ(parameters, 3 * (3 * 256 * 256 + 3 * 256 * 512 + 3 * 256 + 128) + 256 + 384 * 256);
      continue;
    } else {
      EXPECT_EQ(parameters, 3 * (4 * 256 * 256 + 3 * 256 * 512) + 384 * 256);
      continue;
    }
    EXPECT_EQ(config.optimizer.eps, 1e-5);
    EXPECT_EQ(config.eval_interval, 1000);
    ASSERT_EQ(config.evaluators.size(), 2u);
    EXPECT_EQ(config.evaluators[0].data.datasets->size(), 11u);
    EXPECT_EQ(config.evaluators[1].data.datasets->size(), 13u);
  }
}

TEST(ConfigReference, IsWhatDocsConfigMdSays) {
  std::ifstream file(kRoot / "docs" / "config.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_TRUE(text == ConfigReference()) << "docs/config.md is out of date: coat config --reference > docs/config.md";
}

}  // namespace
}  // namespace coat
