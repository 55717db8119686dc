// Models that went to transformers, and models that came from there: the same logits, bytes and configurations.

#include <fmt/format.h>

#include <numeric>

#include "checkpoint/checkpoint_reader.h"
#include "tests/convert/model_folders.h"
#include "tests/support/python.h"
#include "tests/support/rounding.h"
#include "tests/support/tiny_olmo2.h"
#include "tests/support/whole_text.h"

namespace coat {
namespace {

class Transformers : public ModelFolders {
 protected:
  /// Our logits of one sequence of random tokens, in float32, as a file for hf_logits.py.
  void WriteLogits(const std::string& checkpoint, const ModelConfig& config, const std::string& path) const {
    Context ctx(DeviceKind::kCpu, 2);
    std::vector<Arena> arenas;
    for (const char* name : {"masters", "weights"}) {
      arenas.push_back(Arena::Bound(name, Context(DeviceKind::kCpu, 1), 16 << 20));
    }
    Olmo model(config, PlainRecipe(DType::kF32, DType::kF32, WeightCache::kNone));
    model.LayOutForInference(ctx, arenas[0], arenas[1]);
    const SafetensorsReader weights = CheckpointReader(checkpoint).OpenSafetensors("model.safetensors");
    for (const Parameter& parameter : model.parameters()) {
      ctx.Upload(weights.Bytes(parameter.name).data(), parameter.value);
    }
    model.RefreshWeights(ctx);
    std::vector<std::int32_t> tokens(kLength);
    std::mt19937 generator(7);
    for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(generator() % 60);
    std::vector<std::int64_t> all(kLength);
    std::iota(all.begin(), all.end(), 0);
    const std::vector<float> logits = LogitsBehind(all, tokens, model, ctx);
    NamedTensors file;
    file.Add({.name = "tokens", .dtype = "I32", .shape = {1, kLength}}, TextOf(std::as_bytes(std::span(tokens))));
    file.Add({.name = "logits", .dtype = "F32", .shape = {kLength, config.EmbeddingRows()}},
             TextOf(std::as_bytes(std::span(logits))));
    Rewrite(path, file);
  }

  /// Exports a checkpoint, to be compared with these logits, of a sequence of `length` tokens, by ExpectLogits.
  void Add(const std::string& checkpoint, const ModelConfig& config, std::int64_t length, const std::string& logits,
           std::int64_t shard_bytes = std::int64_t{1} << 30) {
    const std::string folder = File(fmt::format("hf{}", arguments_.size()));
    ExportToHf(checkpoint, folder, {.shard_bytes = shard_bytes});
    const double rounding = kStandardDeviations * kOfTwo * ForwardRounding(config, static_cast<double>(length));
    arguments_.insert(arguments_.end(), {folder, config.norm_after ? "Olmo2ForCausalLM" : "OlmoForCausalLM", logits,
                                         fmt::format("{}", rounding)});
  }

  void ExpectLogits() const {
    const PythonOutcome outcome = RunPython("tests/convert/hf_logits.py", arguments_);
    if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  }

  static NamedTensors GoldenWeights2() {
    const SafetensorsReader file(Golden2());
    NamedTensors weights;
    for (const Parameter& parameter : OlmoParameters(TinyOlmo2())) {
      weights.Add(file.Info(parameter.name), TextOf(file.Bytes(parameter.name)));
    }
    return weights;
  }
  static std::string Golden2() { return SourceDir() + "/tests/golden/olmo2_tiny.safetensors"; }

  static constexpr std::int64_t kLength = 24;  // of a sequence of random tokens
  std::vector<std::string> arguments_;
};

TEST_F(Transformers, ComputesTheGoldenLogits) {
  Add(Checkpoint(TinyOlmo(), GoldenWeights()), TinyOlmo(), 128, GoldenPath());
  Add(Checkpoint(TinyOlmo(), GoldenWeights()), TinyOlmo(), 128, GoldenPath(), 600000);
  Add(Checkpoint(TinyOlmo2(), GoldenWeights2()), TinyOlmo2(), 128, Golden2());
  Add(Checkpoint(TinyOlmo2(), GoldenWeights2()), TinyOlmo2(), 128, Golden2(), 100000);
  ExpectLogits();
}

TEST_F(Transformers, ItsOlmo2IsTheGoldenOne) {
  const std::string golden = SourceDir() + "/tests/golden/hf_olmo2_tiny";
  ImportFromHf(golden, File("model"), IfExists::kRefuse);
  EXPECT_EQ(ReadTensors(File("model/model.safetensors")).bytes, GoldenWeights2().bytes);
  ExportToHf(File("model"), File("hf"), {.type = FloatType::kBFloat16});
  EXPECT_TRUE(folder_.Read("hf/model.safetensors") == folder_.Read(golden + "/model.safetensors"));
}

TEST_F(Transformers, ComputesOurLogitsOfRandomModels) {
  const auto expect = [&](const ModelConfig& config) {
    NamedTensors weights = RandomWeights(config);
    for (auto& [name, bytes] : weights.bytes) {  // of a size that trained models have
      if (name.find("norm") != std::string::npos || name.find("ln_f") != std::string::npos) continue;
      std::vector<float> values(bytes.size() / sizeof(float));
      std::memcpy(values.data(), bytes.data(), bytes.size());
      for (float& value : values) value *= 0.1f;
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
    const std::string checkpoint = Checkpoint(config, weights);
    const std::string logits = File(fmt::format("logits{}.safetensors", arguments_.size()));
    WriteLogits(checkpoint, config, logits);
    Add(checkpoint, config, kLength, logits);
  };
  ModelConfig config = OtherOlmo();
  config.clip_qkv = 0.5;  // which clips many
  expect(config);
  expect(OtherOlmo2());
  config = OtherOlmo2();  // one key and value head, tied, another base and another epsilon
  config.n_kv_heads = 1;
  config.n_layers = 2;
  config.weight_tying = true;
  config.rope_theta = 10000;
  config.layer_norm_eps = 1e-2;
  expect(config);
  ExpectLogits();
}

TEST_F(Transformers, ModelsComeBackAsTheyWere) {
  const PythonOutcome made = RunPython("tests/convert/hf_models.py", {"make", File("made")});
  if (made.exit_code == kPythonSkips) GTEST_SKIP() << made.output;
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const std::set<std::string> names = NamesIn(File("made"));
  EXPECT_EQ(names.size(), 7u);
  for (const std::string& name : names) {
    const std::string original = File("made/" + name);
    FloatType type = FloatType::kFloat32;
    if (name.find("bfloat16") != std::string::npos) {
      type = FloatType::kBFloat16;
    } else if (name.find("float16") != std::string::npos) {
      type = FloatType::kFloat16;
    }
    ImportFromHf(original, File("model"), IfExists::kReplace);
    ExportToHf(File("model"), File("copies/" + name), {.type = type, .shard_bytes = 25000});
    if (name.find("sharded") != std::string::npos) {
      EXPECT_GT(NamesIn(original).size(), 4u);
      continue;
    }
    ExportToHf(File("model"), File("copy"), {.type = type, .if_exists = IfExists::kReplace});
    EXPECT_EQ(folder_.Read("copy/model.safetensors"), folder_.Read(original + "/model.safetensors")) << name;
  }
  const PythonOutcome same = RunPython("tests/convert/hf_models.py", {"compare", File("made"), File("copies")});
  EXPECT_EQ(same.exit_code, 0) << same.output;
}

}  // namespace
}  // namespace coat
