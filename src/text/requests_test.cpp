#include "text/requests.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/gzip.h"
#include "tests/support/temp_dir.h"
#include "text/tokenize_requests.h"

namespace coat {
namespace {

using Ids = std::vector<std::int32_t>;

Ids Bytes(const std::string& text) {
  return {text.begin(), text.end()};
}

class Requests : public testing::Test {
 protected:
  /// A line with texts.
  static std::string Line(int doc_id, int idx, const std::string& label,
                          const std::string& context = "Q:", const std::string& continuation = " a") {
    return "{\"doc_id\": " + std::to_string(doc_id) + ", \"idx\": " + std::to_string(idx) + ", \"label\": " + label +
           ", \"request\": {\"context\": \"" + context + "\", \"continuation\": \"" + continuation + "\"}}\n";
  }
  /// A line with token ids.
  static std::string Tokens(const std::string& context, const std::string& continuation) {
    return R"({"doc_id": 0, "idx": 0, "label": 0, "request": {"context": "Q", "continuation": " a", "context_ids": )" +
           context + ", \"continuation_ids\": " + continuation + "}}\n";
  }

  RequestSet Read(const std::string& text) { return Read(std::vector<std::string>{text}); }
  RequestSet Read(const std::vector<std::string>& texts) {
    RequestOptions options = options_;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      options.paths.push_back(folder_.Write("requests" + std::to_string(i), texts[i]));
    }
    return ReadRequests(options);
  }
  /// The message without the folder: "0:2: ..." for the second line of the first file.
  std::string ErrorIn(const std::string& text) {
    const std::string message = ErrorOf([&] { Read(text); });
    const std::string start = folder_.File("requests");
    EXPECT_TRUE(message.starts_with(start)) << message;
    return message.substr(std::min(start.size(), message.size()));
  }

  TempDir folder_;
  RequestOptions options_ = {.paths = {}, .vocab_size = 256, .context_window = 8, .tokenizer = "bytes"};
};

TEST_F(Requests, HaveTheirDocumentsTokensAndLengths) {
  const RequestSet set = Read(Line(7, 1, "1", "Q:", " \xC3\xA9t\xE2\x82\xAC") + "\n  \n" + Line(3, 0, "null") +
                              Line(7, 0, "1", "Q", " no"));
  ASSERT_EQ(set.documents.size(), 2u);
  EXPECT_EQ(set.documents[0].doc_id, 7);
  EXPECT_EQ(set.documents[0].gold, 1);
  EXPECT_EQ(set.documents[0].continuations, 2);
  EXPECT_EQ(set.documents[1].gold, 0);
  EXPECT_EQ(set.documents[1].continuations, 1);
  ASSERT_EQ(set.requests.size(), 3u);
  EXPECT_EQ(set.requests[0].document, 0);
  EXPECT_EQ(set.requests[0].idx, 1);
  EXPECT_EQ(set.requests[0].tokens, (Ids{'Q', ':', ' ', 0xC3, 0xA9, 't', 0xE2, 0x82, 0xAC}));
  EXPECT_EQ(set.requests[0].predicted, 7);
  EXPECT_EQ(set.requests[0].characters, 3);
  EXPECT_EQ(set.requests[0].bytes, 6);
  EXPECT_EQ(set.requests[2].document, 0);
  EXPECT_EQ(set.requests[2].tokens, (Ids{'Q', ' ', 'n', 'o'}));
  EXPECT_TRUE(set.unconditional.empty());
}

TEST_F(Requests, TakeTokenIdsBeforeText) {
  options_.tokenizer = "none";
  const RequestSet set = Read(Tokens("[1, 2, 3]", "[255]"));
  EXPECT_EQ(set.requests[0].tokens, (Ids{1, 2, 3, 255}));
  EXPECT_EQ(set.requests[0].predicted, 1);
  EXPECT_EQ(set.requests[0].characters, 1);
}

TEST_F(Requests, AreTheSameOnceTokenized) {
  const std::string text = Line(0, 1, "1", "Q:", " \xC3\xA9t\xE2\x82\xAC") + Line(0, 0, "1", "Q:", " no");
  const std::string input = folder_.Write("text.jsonl", text);
  const std::unique_ptr<Tokenizer> bytes = OpenTokenizer("bytes");
  EXPECT_EQ(TokenizeRequests(input, folder_.File("ids.jsonl"), /*overwrite=*/false, *bytes), 2);
  const RequestSet of_text = Read(text);
  options_.tokenizer = "none";
  const RequestSet of_ids = Read(folder_.Read("ids.jsonl"));
  ASSERT_EQ(of_ids.requests.size(), of_text.requests.size());
  for (std::size_t i = 0; i < of_text.requests.size(); ++i) {
    EXPECT_EQ(of_ids.requests[i].tokens, of_text.requests[i].tokens);
    EXPECT_EQ(of_ids.requests[i].predicted, of_text.requests[i].predicted);
    EXPECT_EQ(of_ids.requests[i].bytes, of_text.requests[i].bytes);
  }
  EXPECT_EQ(TokenizeRequests(folder_.File("ids.jsonl"), input, /*overwrite=*/true, *bytes), 2);
  EXPECT_EQ(folder_.Read("text.jsonl"), folder_.Read("ids.jsonl"));
}

TEST_F(Requests, AreNotTokenizedIfOneIsBroken) {
  const std::string input = folder_.Write("text.jsonl", Line(0, 0, "0") + "{}\n");
  const std::unique_ptr<Tokenizer> bytes = OpenTokenizer("bytes");
  const std::string output = folder_.File("ids.jsonl");
  ExpectParts(ErrorOf([&] { TokenizeRequests(input, output, false, *bytes); }), {"text.jsonl:2: the field request"});
  ExpectParts(ErrorOf([&] { TokenizeRequests(folder_.Write("none", "\n"), output, false, *bytes); }),
              {"none: holds no requests"});
  // Deep enough that walking through it would need more stack than there is.
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  const std::string line = Line(0, 0, "0");
  folder_.Write("text.jsonl", "{\"x\": " + deep + "," + line.substr(1));
  ExpectParts(ErrorOf([&] { TokenizeRequests(input, output, false, *bytes); }),
              {"text.jsonl:1: has JSON nested more than 1000 levels deep"});
  EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"text.jsonl", "none"}));
}

TEST_F(Requests, LoseTheBeginningOfAContextThatDoesNotFit) {
  const RequestSet set = Read(Line(0, 0, "0", "0123456789", " abc") + Line(1, 0, "0", "xyz", " 1234567"));
  EXPECT_EQ(set.requests[0].tokens, Bytes("56789 abc"));  // the window and the last token, which is not read
  EXPECT_EQ(set.requests[0].predicted, 4);
  EXPECT_EQ(set.requests[1].tokens, Bytes("z 1234567"));
  EXPECT_EQ(set.requests[1].predicted, 8);
}

TEST_F(Requests, OfSeveralFilesAreDifferentDocuments) {
  const RequestSet set = Read({Line(0, 0, "0"), Gzip(Line(0, 0, "0", "R") + Line(1, 0, "0"))});
  ASSERT_EQ(set.documents.size(), 3u);
  EXPECT_EQ(set.requests[1].document, 1);
  EXPECT_EQ(set.requests[1].tokens, Bytes("R a"));
}

TEST_F(Requests, PairWithTheUnconditional) {
  const RequestSet set =
      Read({Line(0, 0, "1") + Line(0, 1, "1", "Q:", " b") + Line(1000000, 1, "1", "A", " b"), Line(0, 0, "0")});
  EXPECT_EQ(set.requests.size(), 3u);
  ASSERT_EQ(set.unconditional.size(), 3u);
  EXPECT_TRUE(set.unconditional[0].tokens.empty());
  EXPECT_EQ(set.unconditional[1].tokens, Bytes("A b"));
  EXPECT_TRUE(set.unconditional[2].tokens.empty());
}

TEST_F(Requests, RefuseLinesThatAreNoRequests) {
  const std::string good = Line(0, 0, "0");
  ExpectParts(ErrorIn(good + "\n{\"doc_id\": 1,\n"), {"0:3: is not JSON from column", "accepted: {\"doc_id\": 0"});
  ExpectParts(ErrorIn("{\"x\": 1e999}\n"), {"0:1: has a number too large for double precision; accepted: {"});
  ExpectParts(ErrorIn(good.substr(0, good.size() - 1) + std::string(1, '\0') + "{}\n"),
              {"0:1: is not JSON from column " + std::to_string(good.size()) + " on"});
  ExpectParts(ErrorIn("[1]\n"), {"0:1: is array; accepted: {\"doc_id\""});
  ExpectParts(ErrorIn("{\"doc_id\": 1}\n"), {"0:1: the field request is missing"});
  ExpectParts(ErrorIn("{\"doc_id\": 1, \"request\": 3}\n"), {"request: found 3; accepted: {\"context\""});
  ExpectParts(ErrorIn("{\"idx\": 1, \"request\": {}}\n"), {"the field doc_id is missing; accepted: an integer"});
  ExpectParts(ErrorIn("{\"doc_id\": -1, \"request\": {}}\n"), {"doc_id: found -1; accepted: an integer from 0 on"});
  ExpectParts(ErrorIn("{\"doc_id\": 1.5, \"request\": {}}\n"), {"doc_id: found 1.5"});
  ExpectParts(ErrorIn("{\"doc_id\": 99999999999999999999, \"request\": {}}\n"), {"doc_id: found"});
  ExpectParts(ErrorIn("{\"doc_id\": 0, \"idx\": \"0\", \"request\": {}}\n"), {"idx: found \"0\""});
  ExpectParts(ErrorIn("{\"doc_id\": 0, \"idx\": 0, \"label\": \"B\", \"request\": {}}\n"), {"label: found \"B\""});
  ExpectParts(ErrorIn("{\"doc_id\": 0, \"idx\": 0, \"request\": {\"context\": 1}}\n"), {"request.context: found 1"});
  ExpectParts(ErrorIn("{\"doc_id\": 0, \"idx\": 0, \"request\": {\"context\": \"a\"}}\n"),
              {"the field request.continuation is missing; accepted: a text"});
  ExpectParts(ErrorIn("{\"request_type\": \"generate_until\", \"request\": {}}\n"),
              {"request_type: found \"generate_until\"; accepted: \"loglikelihood\""});
  ExpectParts(ErrorIn(good + "{\"a\": \"\xFF\"}\n"), {"0:2: is not JSON"});
  ExpectParts(ErrorIn(Tokens("[1, -2]", "[1]")), {"request.context_ids[1]: found -2; accepted: a token id"});
  ExpectParts(ErrorIn(Tokens("[1]", "[4294967296]")), {"request.continuation_ids[0]: found 4294967296"});
  ExpectParts(ErrorIn(Tokens("[1]", "3")), {"request.continuation_ids: found 3; accepted: a list"});
  ExpectParts(
      ErrorIn(R"({"doc_id": 0, "idx": 0, "request": {"context": "", "continuation": "b", "context_ids": [1]}})"),
      {"request has context_ids alone"});
}

TEST_F(Requests, RefuseWhatTheModelCannotRead) {
  ExpectParts(ErrorIn(Line(0, 0, "0") + Line(1, 0, "0", "")), {"0:2: request.context: found no tokens; accepted:"});
  ExpectParts(ErrorIn(Line(0, 0, "0", "a", "")), {"0:1: request.continuation: found no text"});
  ExpectParts(ErrorIn(Tokens("[1]", "[]")), {"request.continuation: found no tokens"});
  ExpectParts(ErrorIn(Line(0, 0, "0", "a", " 12345678")),
              {"0:1: request.continuation: found 9 tokens; accepted: at most 8, the context window"});
  ExpectParts(ErrorIn(Tokens("[1, 256]", "[1]")),
              {"0:1: request.context: token 1 is 256; accepted: 0 to 255 (model.vocab_size: 256)"});
  options_.tokenizer = "gpt2";
  ExpectParts(ErrorOf<UsageError>([&] { Read(Line(0, 0, "0")); }), {"tokenizer gpt2: there is no such file"});
}

TEST_F(Requests, RefuseQuestionsThatAreNotWhole) {
  EXPECT_EQ(ErrorIn(""),
            "0: holds no requests; accepted: lines of {\"doc_id\": 0, \"idx\": 0, \"label\": 1, "
            "\"request\": {\"context\": \"Question: ...\", \"continuation\": \" ...\"}}");
  ExpectParts(ErrorIn(Line(0, 0, "0") + Line(0, 0, "0")), {"0:2: idx: found 0 a second time for doc_id 0"});
  ExpectParts(ErrorIn(Line(0, 0, "0") + Line(0, 1, "1")), {"0:2: label: found 1, and 0 in line 1"});
  ExpectParts(ErrorIn(Line(0, 0, "0") + Line(5, 0, "1") + Line(5, 2, "1")),
              {"0:2: doc_id 5 has 2 continuations, the last with idx 2, and none with idx 1"});
  ExpectParts(ErrorIn(Line(0, 0, "2") + Line(0, 1, "2")),
              {"0:1: label: found 2 for doc_id 0, which has 2 continuations; accepted: 0 to 1"});
  ExpectParts(ErrorIn(Line(0, 0, "null") + Line(0, 1, "null")), {"0:1: label: null for doc_id 0"});
  ExpectParts(ErrorIn(Line(0, 0, "0") + Line(1000001, 0, "0")), {"0:2: doc_id: found 1000001, the unconditional"});
}

}  // namespace
}  // namespace coat
