// scripts/prepare_instructions.py with tokenizers of OLMo's kinds, against the tokenizers library called directly.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/python.h"

namespace coat {
namespace {

class Instructions : public testing::Test {
 protected:
  void SetUp() override {
    const PythonOutcome outcome = RunPython("tests/make_tokenizers.py", {folder_.path()});
    if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
    // Prompts and responses in many scripts: each document of texts.jsonl answers the one before it.
    std::string lines;
    std::string prompt = "\"\"";
    const std::string texts = folder_.Read("texts.jsonl");
    for (std::size_t begin = 0; begin < texts.size();) {
      const std::size_t end = texts.find('\n', begin);
      const std::string line = texts.substr(begin, end - begin);  // {"text": "..."}
      const std::string text = line.substr(9, line.size() - 10);
      lines += "{\"prompt\": " + prompt + ", \"response\": " + text + "}\n";
      prompt = text;
      begin = end + 1;
      ++examples_;
    }
    folder_.Write("examples.jsonl", lines);
  }

  PythonOutcome Prepare(const std::string& tokenizer, std::vector<std::string> options) const {
    options.insert(options.end(),
                   {"--tokenizer", folder_.File(tokenizer), folder_.File("examples.jsonl"), folder_.File("made")});
    return RunPython("scripts/prepare_instructions.py", options);
  }

  void ExpectLibraryTokens(const std::string& tokenizer, const std::vector<std::string>& length_end_padding_dtype) {
    std::vector<std::string> arguments = {folder_.File(tokenizer), folder_.File("examples.jsonl")};
    arguments.insert(arguments.end(), length_end_padding_dtype.begin(), length_end_padding_dtype.end());
    arguments.push_back(folder_.File("made"));
    const PythonOutcome outcome = RunPython("tests/instructions_library.py", arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  }

  TempDir folder_;
  int examples_ = 0;
};

TEST_F(Instructions, HaveTheTokensOfTheLibrary) {
  const PythonOutcome outcome = Prepare("gpt_neox.json", {"--length", "96"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  ExpectParts(outcome.output,
              {std::to_string(examples_) + " examples, ", "96 uint16 tokens", "end of text 0, padding 1"});
  ExpectLibraryTokens("gpt_neox.json", {"96", "0", "1", "uint16"});
}

/// dolma2.json also asks for truncation, for padding and for special tokens around a text, which no example gets.
TEST_F(Instructions, AreNeitherCutNorFilledByWhatTheTokenizerAsksFor) {
  const PythonOutcome outcome = Prepare("dolma2.json", {"--length", "64", "--eos", "70000", "--pad", "7"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  ExpectParts(outcome.output, {"64 uint32 tokens", "end of text 70000, padding 7"});
  ExpectLibraryTokens("dolma2.json", {"64", "70000", "7", "uint32"});
}

TEST_F(Instructions, SayWhichTokenizerCannotBeRead) {
  folder_.Write("broken.json", "{\"model\": 1}");
  for (const char* const name : {"broken.json", "none.json"}) {
    const PythonOutcome outcome = Prepare(name, {"--length", "64"});
    EXPECT_EQ(outcome.exit_code, 1);
    ExpectParts(outcome.output, {"prepare_instructions.py: ", name});
    EXPECT_EQ(outcome.output.find("Traceback"), std::string::npos) << outcome.output;
  }
  EXPECT_EQ(NamesIn(folder_.path()).count("made-tokens.npy"), 0u);
}

}  // namespace
}  // namespace coat
