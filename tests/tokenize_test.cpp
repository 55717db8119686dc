// `coat tokenize` with tokenizers of OLMo's kinds, against the tokenizers library called directly.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/coat_process.h"
#include "tests/support/gzip.h"
#include "tests/support/python.h"
#include "tests/support/zstd.h"

namespace coat {
namespace {

class TokenizeCommand : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("COAT_PYTHON", PythonInterpreter().c_str(), 1);
    const PythonOutcome outcome = RunPython("tests/make_tokenizers.py", {folder_.path()});
    if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
    // The same documents again, in three files of three kinds.
    const std::string lines = folder_.Read("texts.jsonl");
    std::vector<std::string> parts(3);
    std::size_t index = 0;
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = lines.find('\n', begin) + 1;
      parts[index++ / 200 % 3] += lines.substr(begin, end - begin);
      begin = end;
    }
    inputs_ = {folder_.Write("a.jsonl", parts[0]), folder_.Write("b.jsonl.gz", Gzip(parts[1])),
               folder_.Write("c.jsonl.zst", Zstd(parts[2]))};
    documents_ = folder_.Write("all.jsonl", parts[0] + parts[1] + parts[2]);
    count_ = index;
  }
  void TearDown() override { ::unsetenv("COAT_PYTHON"); }

  Outcome Tokenize(const std::string& tokenizer, std::vector<std::string> options) {
    std::vector<std::string> arguments = {"tokenize"};
    arguments.insert(arguments.end(), inputs_.begin(), inputs_.end());
    arguments.insert(arguments.end(), {folder_.File("out.npy"), "--tokenizer", folder_.File(tokenizer)});
    arguments.insert(arguments.end(), options.begin(), options.end());
    return RunCoat(arguments);
  }

  void ExpectLibraryTokens(const std::string& tokenizer, const std::string& dtype, const std::string& end_of_text,
                           const std::vector<std::string>& files) {
    std::vector<std::string> arguments = {folder_.File(tokenizer), documents_, dtype, end_of_text};
    for (const std::string& file : files) arguments.push_back(folder_.File(file));
    const PythonOutcome outcome = RunPython("tests/tokenize_library.py", arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  }

  TempDir folder_;
  std::vector<std::string> inputs_;
  std::string documents_;
  std::size_t count_ = 0;
};

TEST_F(TokenizeCommand, WritesTheTokensOfTheLibrary) {
  Outcome outcome = Tokenize("gpt_neox.json", {});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {std::to_string(count_) + " documents, ",
                            std::to_string(std::filesystem::file_size(folder_.File("out.npy")) / 2) + " in "});
  ExpectLibraryTokens("gpt_neox.json", "uint16", "0", {"out.npy"});

  outcome = Tokenize("dolma2.json", {"--dtype=uint32", "--eos_token_id=1", "--overwrite"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectLibraryTokens("dolma2.json", "uint32", "1", {"out.npy"});
}

TEST_F(TokenizeCommand, ShardsHoldAllTokens) {
  const Outcome outcome = Tokenize("dolma2.json", {"--shard_size=32768"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::vector<std::string> shards;
  for (const std::string& name : NamesIn(folder_.path())) {
    if (!name.starts_with("out-")) continue;
    if (!shards.empty()) {
      EXPECT_EQ(std::filesystem::file_size(folder_.File(shards.back())), 32768u);
    }
    shards.push_back(name);
  }
  EXPECT_GT(shards.size(), 2u);
  ExpectParts(outcome.out, {std::to_string(shards.size()) + " shards of "});
  ExpectLibraryTokens("dolma2.json", "uint16", "0", shards);
}

TEST_F(TokenizeCommand, NamesFileAndLineThatAreBroken) {
  inputs_.push_back(folder_.Write("d.jsonl.zst", Zstd("{\"text\": \"a\"}\n\n{\"text\": \"\xff\"}\n")));
  const Outcome outcome = Tokenize("gpt_neox.json", {});
  ExpectFailure(outcome, 1, {inputs_.back() + ":3: is not JSON from column "});
  EXPECT_FALSE(std::filesystem::exists(folder_.File("out.npy")));
}

TEST(Tokenize, LeavesNothingWhenItIsStopped) {
  const TempDir folder;
  const std::string pipe = folder.File("texts.txt");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int writer = ::open(pipe.c_str(), O_RDWR | O_CLOEXEC);  // which waits for no reader
  CoatProcess process({"tokenize", pipe, folder.File("out.npy")});
  while (NamesIn(folder.path()).size() < 2 && process.IsRunning()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait().exit_code, -1);
  ::close(writer);
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"texts.txt"});
}

}  // namespace
}  // namespace coat
