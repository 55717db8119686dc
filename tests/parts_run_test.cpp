// A checkpoint in the parts of several ranks, taken by the `coat` command at one: as if one rank had saved it.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_tensors.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/error_of.h"
#include "tests/support/part_bytes.h"
#include "tests/support/python.h"
#include "tests/support/thread_ranks.h"
#include "tests/support/tiny_run.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

class PartsRun : public TinyRun {
 protected:
  /// A run with FP8 moments that has saved step 8 and step 12, and step 8 again by three ranks in the folder "parts".
  PartsRun() {
    EXPECT_EQ(RunCoat(Train("one", Fp8())).exit_code, 0);
    RunAsRanks(3, [this](Communicator& ranks) { SaveInParts(ranks); });
  }

  static std::vector<std::string> Fp8() {
    return {"--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw",
            "--quantize_optimizer.first_order_expansion=expansion",
            "--quantize_optimizer.second_order_expansion=expansion"};
  }

  void SaveInParts(Communicator& ranks) const {
    const CheckpointReader reader(Save("one/step8"));
    CheckpointWriter writer(Save("parts"), {.step = 8}, IfExists::kRefuse, ranks);
    for (const char* const file : {"model.safetensors", "optim.safetensors"}) {
      const CheckpointTensors tensors(reader, file);
      std::vector<StatePart> parts;
      for (const PartedTensor& tensor : tensors.tensors()) {
        parts.push_back({tensor.whole, PartOf(ElementsOf(tensor.whole), 8, ranks.rank(), ranks.size())});
      }
      std::string bytes;
      writer.AddTensors(file, parts, [&](std::size_t index, Part part) -> std::span<const std::byte> {
        bytes = BytesOfPart(tensors, tensors.tensors()[index].whole.name, part);
        return std::as_bytes(std::span(bytes));
      });
    }
    writer.Commit(reader.state(), reader.ReadFile("config.yaml"));
  }

  static void ExpectSuccess(const std::vector<std::string>& arguments) {
    const Outcome outcome = RunCoat(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  /// Two folders have the same files with the same bytes.
  void ExpectSameFolder(const std::string& a, const std::string& b) const {
    EXPECT_EQ(NamesIn(Save(a)), NamesIn(Save(b)));
    for (const std::string& name : NamesIn(Save(a))) {
      EXPECT_TRUE(folder_.Read(a + "/" + name) == folder_.Read(b + "/" + name)) << name;
    }
  }
};

TEST_F(PartsRun, GoesOnBitForBit) {
  const std::vector<std::string> whole = MetricsOf("one");
  const auto expect_the_same_end = [&](const std::string& save) {
    const std::vector<std::string> metrics = MetricsOf(save);
    ASSERT_EQ(metrics.size(), 4u);
    // The first step of a start has no speed, which would come last.
    const auto without_end = [](const std::string& line) { return line.substr(0, line.find_last_not_of("},") + 1); };
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(without_end(metrics[i]), without_end(whole[8 + i]));
    EXPECT_EQ(Tensors(save, "step12"), Tensors("one", "step12"));
  };
  std::vector<std::string> options = Fp8();
  options.push_back("--load_path=" + Save("parts/step8"));
  ExpectSuccess(Train("loaded", options));
  expect_the_same_end("loaded");
  options.back() = "--try_load_latest_save";
  ExpectSuccess(Train("parts", options));
  expect_the_same_end("parts");
}

TEST_F(PartsRun, IsConvertedAsTheOneOfOneRank) {
  ExpectSuccess({"convert", Save("parts/step8"), Save("merged"), "--to", "coat"});
  ExpectSameFolder("merged", "one/step8");
  for (const char* const kind : {"hf", "olmo"}) {
    ExpectSuccess({"convert", Save("parts/step8"), Save(std::string("of-parts-") + kind), "--to", kind});
    ExpectSuccess({"convert", Save("one/step8"), Save(std::string("of-one-") + kind), "--to", kind});
    ExpectSameFolder(std::string("of-parts-") + kind, std::string("of-one-") + kind);
  }
  ExpectSuccess({"convert", Save("parts/step8"), Save("alone"), "--to", "coat", "--weights_only"});
  EXPECT_EQ(NamesIn(Save("alone")), (std::set<std::string>{"config.yaml", "model.safetensors", "train.json"}));
  EXPECT_EQ(folder_.Read("alone/model.safetensors"), folder_.Read("one/step8/model.safetensors"));
  EXPECT_EQ(CheckpointReader(Save("alone")).state().step, 0);
  ExpectFailure(RunCoat({"convert", Save("one/step8"), Save("again"), "--to", "coat"}), 2,
                {"of the kind coat already", "accepted: hf, olmo"});
  ExpectFailure(RunCoat({"convert", Save("parts/step8"), Save("merged"), "--to", "coat"}), 1, {"--overwrite"});
}

TEST_F(PartsRun, IsEvaluatedAndGoesOnWithTexts) {
  const auto output_of = [&](const std::vector<std::string>& arguments) {
    const Outcome outcome = RunCoat(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const auto evaluated = [&](const std::string& checkpoint) {
    output_of({"eval", Save(checkpoint), "--device=cpu", "--output=" + Save("metrics.json")});
    const std::string text = folder_.Read("metrics.json");
    fs::remove(Save("metrics.json"));
    return text.substr(text.find("held-out"));
  };
  EXPECT_EQ(evaluated("parts/step8"), evaluated("one/step8"));
  const auto generated = [&](const std::string& checkpoint) {
    return output_of({"generate", Save(checkpoint), "--device=cpu", "--prompt_ids=3,4,5", "--print_ids",
                      "--temperature=0", "--max_new_tokens=8"});
  };
  EXPECT_EQ(generated("parts/step8"), generated("one/step8"));
}

TEST_F(PartsRun, IsRefusedWithAPartMissing) {
  fs::remove(Save("parts/step8/model-00002-of-00003.safetensors"));
  for (const std::vector<std::string>& arguments : {Train("loaded", {"--load_path=" + Save("parts/step8")}),
                                                    {"eval", Save("parts/step8"), "--device=cpu"},
                                                    {"convert", Save("parts/step8"), Save("merged"), "--to", "coat"},
                                                    {"convert", Save("parts/step8"), Save("merged"), "--to", "hf"}}) {
    ExpectFailure(RunCoat(arguments), 1, {"model-00002-of-00003.safetensors", "No such file"});
  }
  EXPECT_FALSE(fs::exists(Save("merged")));
}

TEST_F(PartsRun, IsReadByOtherProgramsAsItsPageSays) {
  const PythonOutcome outcome = RunPython("tests/read_parts.py", {Save("parts/step8"), Save("one/step8")});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

}  // namespace
}  // namespace coat
