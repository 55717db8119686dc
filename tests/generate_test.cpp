// `coat generate` as a user meets it, against transformers' greedy continuations.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "convert/convert.h"
#include "tests/convert/model_folders.h"
#include "tests/support/coat_process.h"
#include "tests/support/python.h"
#include "tests/support/tiny_olmo2.h"

namespace coat {
namespace {

class GenerateCommand : public ModelFolders {
 protected:
  /// The golden tokens [begin, begin + count) as --prompt_ids takes them.
  static std::string PromptOf(const SafetensorsReader& golden, std::size_t begin, std::size_t count) {
    std::vector<std::int32_t> tokens(count);
    std::memcpy(tokens.data(), golden.Bytes("tokens").data() + 4 * begin, 4 * count);
    std::string text;
    for (const std::int32_t token : tokens) text += (text.empty() ? "" : ",") + std::to_string(token);
    return text;
  }

  static Outcome Generate(const std::string& checkpoint, std::vector<std::string> options) {
    options.insert(options.begin(), {"generate", checkpoint, "--device=cpu"});
    return RunCoat(options);
  }

  /// All logits are equal: chosen greedily, each token is 0 and no text ends.
  static NamedTensors EqualLogits(const ModelConfig& config) {
    NamedTensors zeros = RandomWeights(config);
    for (auto& [name, bytes] : zeros.bytes) bytes.assign(bytes.size(), '\0');
    return zeros;
  }

  static std::string Ids(const Outcome& outcome) {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out.substr(0, outcome.out.size() - 1);
  }
};

/// A model of bytes and an end of text.
ModelConfig BytesModel() {
  ModelConfig config = TinyOlmo();
  config.vocab_size = 257;
  config.embedding_size = 320;
  config.eos_token_id = 256;
  config.max_sequence_length = 64;
  return config;
}

TEST_F(GenerateCommand, ContinuesGreedilyAsTransformers) {
  for (const auto& [name, config] : {std::pair{"olmo_tiny", TinyOlmo()}, std::pair{"olmo2_tiny", TinyOlmo2()}}) {
    const SafetensorsReader golden(SourceDir() + "/tests/golden/" + name + ".safetensors");
    NamedTensors weights;
    for (const Parameter& parameter : OlmoParameters(config)) {
      weights.Add(golden.Info(parameter.name), TextOf(golden.Bytes(parameter.name)));
    }
    const std::string checkpoint = Checkpoint(config, weights);
    const std::string folder = File(std::string(name) + "-hf");
    std::vector<std::string> arguments = {folder, std::to_string(config.vocab_size),
                                          std::to_string(config.eos_token_id)};
    const std::int64_t room = config.max_sequence_length;
    for (const auto& [begin, count, tokens] : std::vector<std::array<std::int64_t, 3>>{
             {0, 1, 100}, {128, 5, 60}, {256, 63, 30}, {0, 65, 30}, {0, room - 20, 20}}) {
      const std::string prompt = PromptOf(golden, static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
      std::vector<std::string> options = {
          "--prompt_ids=" + prompt, "--print_ids", "--temperature=0",
          "--precision=fp32",       "--threads=1", "--max_new_tokens=" + std::to_string(tokens)};
      const std::string ids = Ids(Generate(checkpoint, options));
      arguments.push_back(prompt + "=" + ids);
      options.push_back("--no_cache");
      EXPECT_EQ(Ids(Generate(checkpoint, options)), ids);
    }
    WriteModel(OpenModel(checkpoint), ModelKind::kHuggingFace, folder, {});
    const PythonOutcome outcome = RunPython("tests/hf_generate.py", arguments);
    if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  }
}

TEST_F(GenerateCommand, TheSameSeedGivesTheSameText) {
  const ModelConfig config = BytesModel();
  const std::string checkpoint = Checkpoint(config, RandomWeights(config));
  const auto text = [&](const std::string& seed, const std::string& threads) {
    const Outcome outcome = Generate(
        checkpoint, {"--tokenizer=bytes", "--prompt=Once upon a time", "--max_new_tokens=40", "--temperature=0.8",
                     "--top_k=40", "--top_p=0.95", "--seed=" + seed, "--threads=" + threads});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    ExpectParts(outcome.err, {"16 tokens of the prompt", "on cpu with " + threads + " thread"});
    return outcome.out;
  };
  const std::string first = text("1", "1");
  EXPECT_EQ(first, text("1", "2"));
  EXPECT_NE(first, text("2", "2"));
}

TEST_F(GenerateCommand, TextAndIdsAreTheSameTokensAndStandardInputIsAPrompt) {
  const ModelConfig config = BytesModel();
  const std::string checkpoint = Checkpoint(config, RandomWeights(config));
  const std::vector<std::string> common = {"--tokenizer=bytes", "--max_new_tokens=20", "--temperature=0"};
  const auto with = [&](std::vector<std::string> options) {
    options.insert(options.end(), common.begin(), common.end());
    return options;
  };
  const Outcome text = Generate(checkpoint, with({"--prompt=ab"}));
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_EQ(Generate(checkpoint, with({"--prompt_ids=97,98"})).out, text.out);
  const std::string ids = Ids(Generate(checkpoint, with({"--prompt=ab", "--print_ids"})));
  std::string bytes;
  for (std::size_t at = 0; at < ids.size();
       at = ids.find(',', at) == std::string::npos ? ids.size() : ids.find(',', at) + 1) {
    bytes += static_cast<char>(std::stoi(ids.substr(at)));
  }
  EXPECT_NE(FindInvalidUtf8(bytes), bytes.size());  // so that something is replaced
  Utf8Pieces pieces;
  const std::string whole = pieces.Take(bytes);
  EXPECT_EQ(whole + pieces.Rest() + "\n", text.out);
  EXPECT_EQ(FindInvalidUtf8(text.out), text.out.size());

  const std::string input = folder_.Write("prompt.txt", "ab");
  std::vector<std::string> arguments = with({"generate", checkpoint, "--device=cpu"});
  const Outcome from_input = RunCoat(arguments, [&] { ::dup2(::open(input.c_str(), O_RDONLY), STDIN_FILENO); });
  EXPECT_EQ(from_input.out, text.out) << from_input.err;
}

TEST_F(GenerateCommand, EndsAtTheEndOfTheText) {
  ModelConfig config = BytesModel();
  const NamedTensors weights = RandomWeights(config);
  const std::vector<std::string> options = {"--prompt_ids=1,2,3", "--print_ids", "--temperature=0",
                                            "--max_new_tokens=30"};
  const std::string ids = Ids(Generate(Checkpoint(config, weights), options));
  const std::size_t second = ids.find(',') + 1;
  config.eos_token_id = std::stoi(ids.substr(second));
  ASSERT_NE(config.eos_token_id, std::stoi(ids));
  const Outcome outcome = Generate(Checkpoint(config, weights), options);
  EXPECT_EQ(Ids(outcome), ids.substr(0, second - 1));
  ExpectParts(outcome.err, {"1 new tokens", "the end of the text"});
}

TEST_F(GenerateCommand, SaysWhyItMakesNoMore) {
  const auto error = [&](std::int64_t length, std::vector<std::string> options) {
    ModelConfig config = BytesModel();
    config.max_sequence_length = length;
    options.insert(options.end(), {"--prompt_ids=97,98", "--print_ids", "--temperature=0"});
    return Generate(Checkpoint(config, EqualLogits(config)), options).err;
  };
  ExpectParts(error(64, {"--max_new_tokens=5"}), {" 5 new tokens", "as many as asked for"});
  ExpectParts(error(64, {}), {" 62 new tokens", "as many as the model has room for"});
  ExpectParts(error(300, {}), {" 256 new tokens", "as many as by default"});
}

TEST_F(GenerateCommand, AsksForThePromptOnATerminal) {
  const ModelConfig config = BytesModel();
  const std::string checkpoint = Checkpoint(config, RandomWeights(config));
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_EQ(::grantpt(terminal), 0);
  ASSERT_EQ(::unlockpt(terminal), 0);
  const std::string name = ::ptsname(terminal);
  const int other_end = ::open(name.c_str(), O_RDWR | O_NOCTTY);
  const std::string typed = "ab\n\4";  // a line and Ctrl-D
  ASSERT_EQ(::write(terminal, typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
  const Outcome outcome = RunCoat({"generate", checkpoint, "--device=cpu", "--tokenizer=bytes", "--max_new_tokens=1"},
                                  [&] { ::dup2(other_end, STDIN_FILENO); });
  EXPECT_EQ(outcome.exit_code, 0);
  ExpectParts(outcome.err, {"The prompt", "Ctrl-D", "3 tokens of the prompt"});
  ::close(other_end);
  ::close(terminal);
}

TEST_F(GenerateCommand, StopsAtASignalWithWhatItHas) {
  ModelConfig config = BytesModel();
  config.max_sequence_length = 100'000;
  const std::string checkpoint = Checkpoint(config, EqualLogits(config));
  CoatProcess process({"generate", checkpoint, "--device=cpu", "--prompt_ids=5", "--print_ids", "--temperature=0",
                       "--threads=1", "--max_new_tokens=90000"});
  process.AwaitOutput("0,0,0");
  process.Signal(SIGINT);
  const Outcome outcome = process.Wait();
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  ExpectParts(outcome.err, {"stopped by a signal"});
  EXPECT_EQ(outcome.out.back(), '\n');
}

TEST_F(GenerateCommand, RefusesWhatItCannotDo) {
  const ModelConfig config = BytesModel();
  const std::string checkpoint = Checkpoint(config, RandomWeights(config));
  const auto refused = [&](std::vector<std::string> options, std::initializer_list<std::string_view> parts) {
    const Outcome outcome = Generate(checkpoint, std::move(options));
    ExpectFailure(outcome, 2, parts);
    EXPECT_EQ(outcome.out, "");
  };
  const std::string bytes = "--tokenizer=bytes";
  refused({"--prompt=a"}, {"tokenizer gpt2", "no such file", "--tokenizer names another", "--print_ids"});
  refused({bytes, "--prompt=a", "--prompt_ids=1"}, {"--prompt or --prompt_ids, not both"});
  ExpectFailure(RunCoat({"generate", checkpoint, bytes}, [] { ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO); }),
                2, {"the prompt is empty"});
  refused({bytes, "--prompt=" + std::string(64, 'x')}, {"the prompt has 64 tokens; the model takes 64"});
  refused({bytes, "--prompt=ab", "--max_new_tokens=63"}, {"found 63; accepted: 1 to 62"});
  for (const std::string ids : {"257", "-1", "1,,2", "x", "1 2", "99999999999999"}) {
    refused({bytes, "--prompt_ids=" + ids}, {"--prompt_ids: found \"", "accepted: ids from 0 to 256"});
  }
  refused({bytes, "--prompt=a", "--top_p=0"}, {"top_p: found 0; accepted: above 0 and at most 1"});
  refused({bytes, "--prompt=a", "--top_p=1.5"}, {"top_p: found 1.5"});
  refused({bytes, "--prompt=a", "--top_k=-1"}, {"top_k: found -1"});
  refused({bytes, "--prompt=a", "--temperature=-1"}, {"temperature: found -1"});
  refused({bytes, "--prompt=a", "--precision=fp8"}, {"--precision is fp8; accepted: amp_bf16, fp32"});
  refused({"--prompt_ids=1", "--print_ids", bytes}, {"--tokenizer has nothing to do"});
  ExpectFailure(RunCoat({"generate"}), 2, {"a checkpoint is missing"});
  WriteModel(OpenModel(checkpoint), ModelKind::kHuggingFace, File("hf"), {});
  ExpectFailure(Generate(File("hf"), {bytes}), 2, {"is a Hugging Face directory", "coat convert"});
  ExpectFailure(Generate(File("none"), {bytes}), 1, {"none is not a checkpoint"});
}

}  // namespace
}  // namespace coat
