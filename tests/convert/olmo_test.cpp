// Models to unsharded checkpoints of OLMo and back, with torch on the other side.

#include <fmt/format.h>

#include "checkpoint/checkpoint_reader.h"
#include "config/load.h"
#include "tests/convert/model_folders.h"
#include "tests/support/error_of.h"
#include "tests/support/python.h"

namespace coat {
namespace {

class ConvertOlmo : public ModelFolders {
 protected:
  ConvertOlmo() : checkpoint_(Checkpoint(OtherOlmo(), RandomWeights(OtherOlmo()))) {}

  /// Has torch write a checkpoint in each of these forms of native_files.py, in native/FORM. False if there is no
  /// torch.
  [[nodiscard]] bool Make(const std::vector<std::string>& forms) {
    std::vector<std::string> arguments = {"make", ModelFile(), File("native")};
    arguments.insert(arguments.end(), forms.begin(), forms.end());
    const PythonOutcome outcome = RunPython("tests/convert/native_files.py", arguments);
    if (outcome.exit_code == kPythonSkips) return false;
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    for (const std::string& form : forms) {
      folder_.Write("native/" + form + "/config.yaml", NativeConfig(form == "group" ? 2 : 1));
    }
    return true;
  }

  /// As OLMo writes it: keys that this build does not have are not among them, but settings of a run are.
  static std::string NativeConfig(std::int64_t block_group_size) {
    TrainConfig config;
    config.run_name = "native";
    config.model = OtherOlmo();
    config.model.block_group_size = block_group_size;
    config.model.flash_attention = true;
    config.optimizer.learning_rate = 3e-4;
    config.precision = Precision::kAmpBf16;
    return Dump(config);
  }

  std::string ModelFile() const { return checkpoint_ + "/model.safetensors"; }

  std::string checkpoint_;
};

TEST_F(ConvertOlmo, ReadsWhateverTorchMakesOfTheSameWeights) {
  const std::string expected = folder_.Read(ModelFile());
  const std::vector<std::string> forms = {"plain",     "module", "parameters", "shared", "protocol4",
                                          "unchecked", "coat",   "group",      "fsdp",   "safetensors"};
  if (!Make(forms)) GTEST_SKIP() << "no torch";
  for (const std::string& form : forms) {
    ASSERT_EQ(KindOfModel(File("native/" + form)), ModelKind::kOlmo);
    const Model model = OpenModel(File("native/" + form));
    EXPECT_TRUE(model.training_files.empty());
    WriteCheckpoint(model, File("model"), {.if_exists = IfExists::kReplace});
    EXPECT_EQ(folder_.Read("model/model.safetensors"), expected) << form;
    EXPECT_EQ(LoadTrainConfig(File("model/config.yaml")).optimizer.learning_rate, 3e-4);
  }
}

TEST_F(ConvertOlmo, ReadsShorterTypesExactly) {
  const NamedTensors before = ReadTensors(ModelFile());
  if (!Make({"bfloat16", "float16"})) GTEST_SKIP() << "no torch";
  for (const FloatType type : {FloatType::kBFloat16, FloatType::kFloat16}) {
    WriteCheckpoint(OpenModel(File(fmt::format("native/{}", TorchName(type)))), File("model"),
                    {.if_exists = IfExists::kReplace});
    const NamedTensors after = ReadTensors(File("model/model.safetensors"));
    for (const auto& [name, bytes] : before.bytes) {
      std::string rounded(bytes.size() / 2, '\0');
      std::string expected(bytes.size(), '\0');
      ConvertFloats(std::as_bytes(std::span(bytes)), FloatType::kFloat32, std::as_writable_bytes(std::span(rounded)),
                    type);
      ConvertFloats(std::as_bytes(std::span(rounded)), type, std::as_writable_bytes(std::span(expected)),
                    FloatType::kFloat32);
      EXPECT_EQ(after.bytes.at(name), expected) << name;
    }
  }
}

TEST_F(ConvertOlmo, TorchReadsWhatIsWritten) {
  for (const FloatType type : {FloatType::kFloat32, FloatType::kBFloat16, FloatType::kFloat16}) {
    for (const NativeNames names : {NativeNames::kOlmo, NativeNames::kCoat}) {
      const ConversionResult result = WriteOlmo(OpenCheckpoint(checkpoint_), File("native"),
                                                {.type = type, .if_exists = IfExists::kReplace, .names = names});
      EXPECT_EQ(result.tensors, 46);
      EXPECT_EQ(NamesIn(File("native")), (std::set<std::string>{"config.yaml", "model.pt"}));
      const PythonOutcome outcome = RunPython("tests/convert/native_files.py",
                                              {"compare", ModelFile(), std::string(TorchName(type)),
                                               names == NativeNames::kCoat ? "coat" : "olmo", File("native/model.pt")});
      if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
      EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    }
  }
}

TEST_F(ConvertOlmo, RoundTripsByteForByteThroughEveryFormat) {
  Checkpoint(OtherOlmo2(), RandomWeights(OtherOlmo2()));
  const std::string expected = folder_.Read(ModelFile());
  for (const NativeNames names : {NativeNames::kOlmo, NativeNames::kCoat}) {
    WriteOlmo(OpenModel(checkpoint_), File("native"), {.if_exists = IfExists::kReplace, .names = names});
    const std::string native = folder_.Read("native/model.pt");
    WriteHf(OpenModel(File("native")), File("hf"), {.shard_bytes = 20000, .if_exists = IfExists::kReplace});
    WriteOlmo(OpenModel(File("hf")), File("again"), {.if_exists = IfExists::kReplace, .names = names});
    EXPECT_EQ(folder_.Read("again/model.pt"), native);
    WriteCheckpoint(OpenModel(File("again")), File("model"), {.if_exists = IfExists::kReplace});
    EXPECT_EQ(folder_.Read("model/model.safetensors"), expected);
  }
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "native", "hf", "again", "model"}));
}

TEST_F(ConvertOlmo, RefusesWhatTorchCanSaveAndNoModelHas) {
  if (!Make({"transposed", "expanded", "float64", "nested", "old", "system"})) GTEST_SKIP() << "no torch";
  const auto expect = [&](const std::string& form, const std::string& part) {
    const std::string message =
        ErrorOf<IoError>([&] { WriteCheckpoint(OpenModel(File("native/" + form)), File("model"), {}); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("transposed", "\"transformer.blocks.0.attn_out.weight\": not contiguous: shape [32, 32], strides [1, 32]");
  expect("expanded", "not contiguous: shape [32, 32], strides [0, 1]");
  expect("float64", "has a DoubleStorage; accepted: FloatStorage, BFloat16Storage, HalfStorage");
  expect("nested", "\"model\": no tensor");
  expect("old", "of torch.save before PyTorch 1.6; accepted: its zip format");
  expect("system", "it asks for \"posix.system\", which is not run; accepted: collections.OrderedDict");
  EXPECT_EQ(NamesIn(File("native/system")),
            (std::set<std::string>{"config.yaml", "model.pt"}));  // nothing was executed
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "native"}));
}

TEST_F(ConvertOlmo, RefusesTensorsThatAreNotTheModels) {
  const auto refused = [&](const ModelConfig& config) {
    WriteOlmo(OpenCheckpoint(checkpoint_), File("native"), {.if_exists = IfExists::kReplace});
    TrainConfig changed;
    changed.run_name = "native";
    changed.model = config;
    folder_.Write("native/config.yaml", Dump(changed));
    return ErrorOf<IoError>([&] { OpenModel(File("native")); });
  };
  ModelConfig config = OtherOlmo();
  config.n_layers = 12;
  EXPECT_NE(refused(config).find("no tensor \"transformer.blocks.11.attn_out.weight\"; expected [32, 32]"),
            std::string::npos);
  config.n_layers = 10;
  EXPECT_NE(refused(config).find("transformer.blocks.10.att_proj.weight\" is no parameter"), std::string::npos);
  config = OtherOlmo();
  config.n_kv_heads = 4;
  EXPECT_NE(refused(config).find("att_proj.weight\" is [64, 32]; expected [96, 32]"), std::string::npos);
}

TEST_F(ConvertOlmo, RefusesNumbersOfLayersThatNoModelHas) {
  WriteOlmo(OpenCheckpoint(checkpoint_), File("native"), {});
  const auto refused = [&](std::int64_t layers, std::int64_t block_group_size) {
    TrainConfig changed;
    changed.run_name = "native";
    changed.model = OtherOlmo();
    changed.model.n_layers = layers;
    changed.model.block_group_size = block_group_size;
    folder_.Write("native/config.yaml", Dump(changed));
    return ErrorOf<ConfigError>([&] { OpenModel(File("native")); });
  };
  const std::int64_t layers = OtherOlmo().n_layers;
  for (const std::int64_t size :
       {std::int64_t{-1}, std::int64_t{0}, layers + 1, std::numeric_limits<std::int64_t>::max()}) {
    ExpectParts(refused(layers, size), {"native/config.yaml:", "model.block_group_size: found " + std::to_string(size),
                                        "accepted: 1 to model.n_layers, " + std::to_string(layers)});
  }
  ExpectParts(refused(2147483647, 1), {"model.n_layers: found 2147483647; accepted: 1 to 65535"});
}

TEST_F(ConvertOlmo, SaysWhatToDoAboutShardedCheckpoints) {
  folder_.Write("sharded/config.yaml", "");
  folder_.Write("sharded/model/rank0.pt", "");
  const std::string message = ErrorOf<IoError>([&] { KindOfModel(File("sharded")); });
  EXPECT_NE(message.find("with model/rank0.pt it is a sharded checkpoint of OLMo, which OLMo's scripts/unshard.py"),
            std::string::npos)
      << message;
}

}  // namespace
}  // namespace coat
