#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "tests/support/error_of.h"
#include "tests/support/python.h"

namespace coat {
namespace {

using nlohmann::json;

/// Sets an environment variable until the end of the scope.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

TEST(BytesTokenizer, IdsAreBytes) {
  const auto tokenizer = OpenTokenizer("bytes");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const TokenIds ids = tokenizer->Encode(all);
  for (int byte = 0; byte < 256; ++byte) EXPECT_EQ(ids[static_cast<std::size_t>(byte)], byte);
  EXPECT_EQ(tokenizer->Decode(ids), all);
  EXPECT_EQ(tokenizer->Decode(TokenIds{'a', 256, 'b', 257, -1}), "ab\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(tokenizer->vocab_size(), 257);
  EXPECT_EQ(tokenizer->end_of_text(), 256);
  EXPECT_TRUE(tokenizer->takes_pieces());
}

TEST(OpenTokenizer, RefusesNamesOfHubsAndSaysHowToGetTheFile) {
  const std::string message = ErrorOf<UsageError>([] { OpenTokenizer("allenai/OLMo-2-0425-1B"); });
  ExpectParts(message, {"allenai/OLMo-2-0425-1B", "no such file", "accepted: bytes, or the path of a tokenizer.json",
                        "download it"});
}

TEST(OpenTokenizer, SaysWhatIsMissing) {
  ::signal(SIGPIPE, SIG_IGN);
  const TempDir folder;
  const std::string file = folder.Write("tokenizer.json", "{}");
  {
    const Environment python("COAT_PYTHON", "/no/such/python");
    ExpectParts(ErrorOf<UsageError>([&] { OpenTokenizer(file); }),
                {"/no/such/python: cannot be started", "COAT_PYTHON", "tokenizers"});
  }
  {
    const Environment python("COAT_PYTHON", "/bin/echo");
    ExpectParts(ErrorOf<UsageError>([&] { OpenTokenizer(file); }), {"/bin/echo", "COAT_PYTHON"});
  }
  {
    const Environment python("COAT_PYTHON", "/bin/true");
    ExpectParts(ErrorOf<Error>([&] { OpenTokenizer(file); }), {"/bin/true", "has ended with exit code 0"});
  }
  {
    // A program that answers in the form of one, but not with what is expected.
    for (const std::string answer : {"no JSON!", "{\"a\": 1}", "[1, 2,3]", "{\"b\":\"\"}"}) {
      ASSERT_EQ(answer.size(), 8u);
      const std::string other = folder.Write("other", "#!/bin/sh\nprintf '\\010\\0\\0\\0\\0\\0\\0\\0" + answer + "'\n");
      std::filesystem::permissions(other, std::filesystem::perms::owner_all);
      const Environment python("COAT_PYTHON", other);
      ExpectParts(ErrorOf<UsageError>([&] { OpenTokenizer(file); }),
                  {other, "COAT_PYTHON", "does not answer as a Python interpreter"});
    }
  }
  {
    // An interpreter without the library: one that finds no installed packages.
    const std::string bare = folder.Write("bare", "#!/bin/sh\nexec '" + PythonInterpreter() + "' -S -E \"$@\"\n");
    std::filesystem::permissions(bare, std::filesystem::perms::owner_all);
    const Environment python("COAT_PYTHON", bare);
    ExpectParts(ErrorOf<UsageError>([&] { OpenTokenizer(file); }),
                {bare + " has not", bare + " -m venv ~/.venvs/coat && ~/.venvs/coat/bin/pip install tokenizers",
                 "export COAT_PYTHON=~/.venvs/coat/bin/python3"});
  }
}

/// Small tokenizers and what the library makes of texts, from tests/make_tokenizers.py.
class LibraryTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    const PythonOutcome outcome = RunPython("tests/make_tokenizers.py", {folder_.path()});
    if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
    std::ifstream lines(folder_.File("texts.jsonl"));
    for (std::string line; std::getline(lines, line);) texts_.push_back(json::parse(line)["text"]);
  }

  TempDir folder_;
  Environment python_{"COAT_PYTHON", PythonInterpreter()};
  std::vector<std::string> texts_;
};

TEST_F(LibraryTokenizer, EncodesAsTheLibraryAndDecodesWhatItEncoded) {
  for (const std::string name : {"gpt_neox", "dolma2"}) {
    const json expected = json::parse(folder_.Read(name + ".expected.json"));
    const auto tokenizer = OpenTokenizer(folder_.File(name + ".json"));
    EXPECT_EQ(tokenizer->vocab_size(), expected["vocab_size"]);
    EXPECT_EQ(tokenizer->end_of_text(), 0);
    EXPECT_FALSE(tokenizer->takes_pieces());
    const std::vector<TokenIds> ids = tokenizer->EncodeBatch(texts_);
    ASSERT_EQ(ids.size(), texts_.size());
    std::size_t longest = 0;
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      EXPECT_EQ(ids[i], expected["ids"][i].get<TokenIds>()) << texts_[i];
      EXPECT_EQ(tokenizer->Decode(ids[i]), expected["normalized"][i].get<std::string>());
      longest = std::max(longest, ids[i].size());
    }
    EXPECT_GT(longest, 20'000u);
    EXPECT_EQ(tokenizer->Encode(texts_[3]), ids[3]);
    EXPECT_TRUE(tokenizer->EncodeBatch({}).empty());
    EXPECT_TRUE(tokenizer->Encode("").empty());
  }
}

TEST_F(LibraryTokenizer, TokensThatSplitCharactersAreBytes) {
  const auto tokenizer = OpenTokenizer(folder_.File("dolma2.json"));
  const TokenIds ids = tokenizer->Encode("\xf0\x9f\xa6\x80");  // not in the training text: several tokens
  ASSERT_GT(ids.size(), 1u);
  Utf8Pieces pieces;
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(pieces.Take(tokenizer->Decode({&ids[i], 1})), "");
  EXPECT_EQ(pieces.Take(tokenizer->Decode({&ids.back(), 1})), "\xf0\x9f\xa6\x80");
  EXPECT_EQ(tokenizer->Decode(TokenIds{1'000'000}), "\xef\xbf\xbd");
}

TEST_F(LibraryTokenizer, RefusesTextThatIsNotUtf8AndGoesOn) {
  const auto tokenizer = OpenTokenizer(folder_.File("dolma2.json"));
  EXPECT_EQ(ErrorOf([&] {
              tokenizer->EncodeBatch(std::vector<std::string>{"good", "ab\xff"});
            }),
            "text 1 is not UTF-8 from byte 2 on; " + tokenizer->name() + " takes UTF-8");
  EXPECT_FALSE(tokenizer->Encode("good").empty());
}

TEST_F(LibraryTokenizer, RefusesFilesThatAreNoByteLevelTokenizer) {
  const auto error = [&](const std::string& text) {
    const std::string path = folder_.Write("other.json", text);
    return ErrorOf([&] { OpenTokenizer(path); });
  };
  ExpectParts(error("{"), {"other.json: is no tokenizer"});
  ExpectParts(error("{}"), {"other.json: is no tokenizer"});
  json other = json::parse(folder_.Read("dolma2.json"));
  other["decoder"] = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "always"}};
  ExpectParts(error(other.dump()), {"other.json: is no tokenizer", "Metaspace", "accepted: ByteLevel"});
  ExpectParts(ErrorOf([&] { OpenTokenizer(folder_.path()); }), {folder_.path()});
}

TEST_F(LibraryTokenizer, RefusesIdsThatNoVocabularyHas) {
  for (const std::int64_t id : {std::int64_t{1} << 24, std::int64_t{4294967295}}) {
    json huge = json::parse(folder_.Read("dolma2.json"));
    huge["model"]["vocab"]["huge"] = id;
    const std::string path = folder_.Write("huge.json", huge.dump());
    ExpectParts(ErrorOf<IoError>([&] { OpenTokenizer(path); }),
                {"huge.json: is no tokenizer: the id of \"huge\" is " + std::to_string(id), "accepted: ids below"});
  }
  json larger = json::parse(folder_.Read("dolma2.json"));
  larger["model"]["vocab"]["huge"] = std::int64_t{1} << 32;
  const std::string path = folder_.Write("larger.json", larger.dump());
  ExpectParts(ErrorOf<IoError>([&] { OpenTokenizer(path); }), {"larger.json: is no tokenizer"});
}

TEST_F(LibraryTokenizer, TakesReleasesOfTheLibraryWithoutTheFastCall) {
  // In the library's place one that has all but that call.
  folder_.Write("old/tokenizers.py",
                "import sys\n"
                "here = sys.modules.pop('tokenizers')\n"
                "sys.path.remove(sys.path[0])\n"
                "import tokenizers as library\n"
                "sys.modules['tokenizers'] = here\n"
                "class Tokenizer:\n"
                "    def __init__(self, tokenizer): self.tokenizer = tokenizer\n"
                "    def __getattr__(self, name):\n"
                "        if name == 'encode_batch_fast': raise AttributeError(name)\n"
                "        return getattr(self.tokenizer, name)\n"
                "    def from_file(path): return Tokenizer(library.Tokenizer.from_file(path))\n");
  const std::vector<TokenIds> expected = OpenTokenizer(folder_.File("dolma2.json"))->EncodeBatch(texts_);
  const Environment packages("PYTHONPATH", folder_.File("old"));
  EXPECT_EQ(OpenTokenizer(folder_.File("dolma2.json"))->EncodeBatch(texts_), expected);
}

}  // namespace
}  // namespace coat
