#include "text/tokenize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/gzip.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zstd.h"

namespace coat {
namespace {

using Ids = std::vector<std::uint32_t>;

template <class Id = std::uint16_t>
Ids ReadIds(const TempDir& folder, const std::string& path) {
  const std::string bytes = folder.Read(path);
  EXPECT_EQ(bytes.size() % sizeof(Id), 0u);
  std::vector<Id> ids(bytes.size() / sizeof(Id));
  std::memcpy(ids.data(), bytes.data(), bytes.size());
  return {ids.begin(), ids.end()};
}

/// The ids that documents must become.
Ids IdsOf(const std::vector<std::string>& documents) {
  Ids ids;
  for (const std::string& document : documents) {
    for (const char byte : document) {
      ids.push_back(static_cast<unsigned char>(byte));
    }
    ids.push_back(256);
  }
  return ids;
}

/// By the bytes tokenizer.
TokenizeResult TokenizeBytes(const TokenizeOptions& options) {
  return TokenizeFiles(options, *OpenTokenizer("bytes"));
}

TokenizeResult Tokenize(const TempDir& folder, std::vector<std::string> inputs) {
  return TokenizeBytes({.inputs = std::move(inputs), .output = folder.File("out.npy")});
}

TEST(TokenizeFiles, MakesEveryTextFileADocument) {
  const TempDir folder;
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) {
    all_bytes += static_cast<char>(byte);
  }
  const TokenizeResult result = Tokenize(folder, {folder.Write("b.txt", all_bytes), folder.Write("a", "hello\n")});
  EXPECT_EQ(ReadIds(folder, "out.npy"), IdsOf({all_bytes, "hello\n"}));
  EXPECT_EQ(result.documents, 2);
  EXPECT_EQ(result.empty_documents, 0);
  EXPECT_EQ(result.text_bytes, 262);
  EXPECT_EQ(result.tokens, 264);
  EXPECT_EQ(result.validation_tokens, 0);
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"a", "b.txt", "out.npy"}));
}

TEST(TokenizeFiles, MakesEveryLineOfJsonADocument) {
  const TempDir folder;
  const std::string lines =
      "{\"text\": \"one\", \"id\": {\"text\": \"no\"}}\n"
      "\n  \t\r\n"
      "{\"id\": [1, 2.5, null], \"text\": \"tab\\t \\u00e9 \\ud83d\\ude00 \xc3\xa9 \\u0000.\"}\r\n"
      "{\"text\": \"\"}\n"
      "{\"text\": \"last, without a newline\"}";
  const std::string second(std::string_view("tab\t \xc3\xa9 \xf0\x9f\x98\x80 \xc3\xa9 \0.", 18));
  const TokenizeResult result = Tokenize(folder, {folder.Write("a.jsonl", lines)});
  EXPECT_EQ(ReadIds(folder, "out.npy"), IdsOf({"one", second, "last, without a newline"}));
  EXPECT_EQ(result.documents, 3);
  EXPECT_EQ(result.empty_documents, 1);
  EXPECT_EQ(result.text_bytes, 3 + 18 + 23);
  EXPECT_EQ(result.tokens, 3 + 18 + 23 + 3);
}

TEST(TokenizeFiles, KnowsJsonLinesByTheName) {
  const TempDir folder;
  const std::string lines = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
  const std::vector<std::pair<std::string, std::string>> inputs = {
      {"a.json", lines},           {"a.ndjson", lines},        {"a.JSONL", lines},           {"a.json.gz", Gzip(lines)},
      {"a.json.zst", Zstd(lines)}, {"a.JSON.GZ", Gzip(lines)}, {"a.ndjson.gz", Gzip(lines)}, {"a.jsonl", Zstd(lines)}};
  for (const auto& [name, bytes] : inputs) {
    TokenizeBytes({.inputs = {folder.Write(name, bytes)}, .output = folder.File("out.npy"), .overwrite = true});
    EXPECT_EQ(ReadIds(folder, "out.npy"), IdsOf({"one", "two"})) << name;
  }
  for (const char* const name : {"json", "a.json.txt", "ajsonl", "a.jsonl5"}) {
    TokenizeBytes({.inputs = {folder.Write(name, lines)}, .output = folder.File("out.npy"), .overwrite = true});
    EXPECT_EQ(ReadIds(folder, "out.npy"), IdsOf({lines})) << name;
  }
  const std::string indented = folder.Write("indented.json", "[\n  {\"text\": \"one\"}\n]\n");
  std::filesystem::remove(folder.File("out.npy"));
  ExpectParts(ErrorOf([&] { Tokenize(folder, {indented}); }),
              {indented + ":1: is not JSON from column 2 on; expected one object a line with a string in \"text\""});
}

TEST(TokenizeFiles, RefusesTokenFilesAsInputs) {
  const TempDir folder;
  for (const char* const name : {"train.npy", "train.NPY"}) {
    const std::string path = folder.Write(name, "ab");
    EXPECT_EQ(ErrorOf<UsageError>([&] { Tokenize(folder, {path}); }),
              path + ": is named as a token file, which needs no tokenizing; expected text or lines of JSON");
  }
}

TEST(TokenizeFiles, ReadsGzip) {
  const TempDir folder;
  const std::string jsonl = folder.Write("a.jsonl.gz", Gzip("{\"text\": \"one\"}\n{\"te") + Gzip("xt\": \"two\"}\n"));
  const std::string text = folder.Write("b.txt.gz", Gzip("three"));
  Tokenize(folder, {text, jsonl});
  EXPECT_EQ(ReadIds(folder, "out.npy"), IdsOf({"three", "one", "two"}));
}

TEST(TokenizeFiles, ReadsZstd) {
  const TempDir folder;
  const std::string jsonl = folder.Write("a.jsonl.zst", Zstd("{\"text\": \"one\"}\n{\"te") + Zstd("xt\": \"two\"}\n"));
  Tokenize(folder, {folder.Write("b.txt.zst", Zstd("three")), jsonl});
  EXPECT_EQ(ReadIds(folder, "out.npy"), IdsOf({"three", "one", "two"}));
}

TEST(TokenizeFiles, CutsTheOutputIntoShardsOfASize) {
  const TempDir folder;
  const std::string text = folder.Write("a.txt", "abcdefg");
  TokenizeOptions options = {
      .inputs = {text, folder.Write("b.txt", "hi")}, .output = folder.File("out.npy"), .shard_bytes = 9};
  const TokenizeResult result = TokenizeBytes(options);  // 4 tokens a shard; 11 in all
  EXPECT_EQ(result.files, 3);
  EXPECT_EQ(result.tokens, 11);
  EXPECT_EQ(NamesIn(folder.path()),
            (std::set<std::string>{"a.txt", "b.txt", "out-00000.npy", "out-00001.npy", "out-00002.npy"}));
  EXPECT_EQ(ReadIds(folder, "out-00000.npy"), (Ids{'a', 'b', 'c', 'd'}));
  EXPECT_EQ(ReadIds(folder, "out-00001.npy"), (Ids{'e', 'f', 'g', 256}));
  EXPECT_EQ(ReadIds(folder, "out-00002.npy"), (Ids{'h', 'i', 256}));

  EXPECT_EQ(ErrorOf([&] { TokenizeBytes(options); }),
            folder.File("out-00000.npy") + ": exists already; nothing was overwritten");
  options.overwrite = true;
  options.inputs = {folder.File("out-00001.npy")};
  ExpectParts(ErrorOf<UsageError>([&] { TokenizeBytes(options); }), {"is both an input and an output"});
  // A shorter output leaves nothing of a longer one.
  folder.Write("out-0000x.npy", "another's");
  options.inputs = {text};
  EXPECT_EQ(TokenizeBytes(options).files, 2);
  EXPECT_EQ(NamesIn(folder.path()),
            (std::set<std::string>{"a.txt", "b.txt", "out-00000.npy", "out-00001.npy", "out-0000x.npy"}));
  options.shard_bytes = 1;
  ExpectParts(ErrorOf<UsageError>([&] { TokenizeBytes(options); }), {"must hold a token"});
}

TEST(TokenizeFiles, LeavesFilesThatAreNoShardsOfTheOutput) {
  const TempDir folder;
  const std::set<std::string> others = {"out-20240131.npy", "out-000000.npy", "out-000099.npy",
                                        "out-0000x.npy",    "out-00007.npy",  "out-00005"};
  for (const std::string& name : others) folder.Write(name, "another's");
  const auto expect = [&](std::set<std::string> names) {
    names.insert(others.begin(), others.end());
    EXPECT_EQ(NamesIn(folder.path()), names);
    for (const std::string& name : others) EXPECT_EQ(folder.Read(name), "another's");
  };
  TokenizeOptions options = {
      .inputs = {folder.Write("a.txt", "abcdefghijklm")}, .output = folder.File("out.npy"), .shard_bytes = 8};
  EXPECT_EQ(TokenizeBytes(options).files, 4);  // though those files are there
  expect({"a.txt", "out-00000.npy", "out-00001.npy", "out-00002.npy", "out-00003.npy"});
  folder.Write("a.txt", "abc");
  options.overwrite = true;
  EXPECT_EQ(TokenizeBytes(options).files, 1);
  expect({"a.txt", "out-00000.npy"});
}

TEST(TokenizeFiles, LeavesNoShardWhenALaterInputIsDamaged) {
  const TempDir folder;
  const std::string whole = folder.Write("a", std::string(9 << 20, 'a'));
  const std::string damaged = folder.Write("b.jsonl", "{\"text\": 1}");
  EXPECT_THROW(TokenizeBytes({.inputs = {whole, damaged}, .output = folder.File("out"), .shard_bytes = 1 << 20}),
               IoError);
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"a", "b.jsonl"}));
}

TEST(TokenizeFiles, EndsDocumentsWithTheIdThatIsGiven) {
  const TempDir folder;
  TokenizeOptions options = {.inputs = {folder.Write("a", "ab")}, .output = folder.File("out"), .end_of_text = 7};
  TokenizeBytes(options);
  EXPECT_EQ(ReadIds(folder, "out"), (Ids{'a', 'b', 7}));
  for (const std::int32_t id : {-1, 257}) {
    options.end_of_text = id;
    ExpectParts(ErrorOf<UsageError>([&] { TokenizeBytes(options); }), {"ids from 0 to 256"});
  }
}

TEST(TokenizeFiles, WritesUint32) {
  const TempDir folder;
  TokenizeBytes({.inputs = {folder.Write("a",
                                         "\xff"
                                         "b")},
                 .output = folder.File("out"),
                 .token_type = TokenType::kUint32});
  EXPECT_EQ(ReadIds<std::uint32_t>(folder, "out"), (Ids{255, 'b', 256}));
}

TEST(TokenizeFiles, KeepsLongDocumentsWhole) {
  const TempDir folder;
  std::string text;
  std::string lines;
  std::vector<std::string> documents;
  for (int i = 0; i < 2'000'000; ++i) {
    text += static_cast<char>('a' + i / 7 % 26);
  }
  for (const std::size_t size : {262'143u, 262'144u, 262'145u, 1u, 1'000'000u}) {
    documents.push_back(text.substr(size % 100, size));
    lines += "{\"text\": \"" + documents.back() + "\"}\n";
  }
  documents.push_back(text);
  const TokenizeResult result = Tokenize(folder, {folder.Write("a.jsonl", lines), folder.Write("b.txt", text)});
  EXPECT_TRUE(ReadIds(folder, "out.npy") == IdsOf(documents));
  EXPECT_EQ(result.documents, 6);
}

TEST(TokenizeFiles, SplitsTheLastTokensOffForValidation) {
  const TempDir folder;
  const TokenizeOptions options = {.inputs = {folder.Write("a", "abcdef"), folder.Write("b", "ghij")},
                                   .output = folder.File("train.npy"),
                                   .validation_fraction = 0.3,
                                   .validation_output = folder.File("validation.npy")};
  const TokenizeResult result = TokenizeBytes(options);
  EXPECT_EQ(result.tokens, 12);
  EXPECT_EQ(result.validation_tokens, 3);  // 3.6 rounded down
  EXPECT_EQ(ReadIds(folder, "train.npy"), (Ids{'a', 'b', 'c', 'd', 'e', 'f', 256, 'g', 'h'}));
  EXPECT_EQ(ReadIds(folder, "validation.npy"), (Ids{'i', 'j', 256}));
}

TEST(TokenizeFiles, RefusesASplitThatLeavesAFileEmpty) {
  const TempDir folder;
  TokenizeOptions options = {.inputs = {folder.Write("a", "abcdef")},
                             .output = folder.File("train.npy"),
                             .validation_fraction = 0.1,
                             .validation_output = folder.File("validation.npy")};
  EXPECT_EQ(
      ErrorOf([&] { TokenizeBytes(options); }),
      options.validation_output + ": 0 of the 7 tokens would be for validation; each file needs at least one token");
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"a"});
}

TEST(TokenizeFiles, NamesTheLineThatIsNotAsExpected) {
  struct Case {
    std::string lines;
    std::string message;
  };
  const std::string expected = "; expected one object a line with a string in \"text\"";
  const std::vector<Case> cases = {
      {"{\"text\": \"a\"}\n{\"text\": \"b\"\n", ":2: is not JSON from column 13 on" + expected},
      {"\n\nplain text\n", ":3: is not JSON from column 1 on" + expected},
      {"{\"text\": \"\xff\"}\n", ":1: is not JSON from column 11 on" + expected},
      {"{\"text\": \"\\ud800\"}\n", ":1: is not JSON from column 17 on" + expected},
      {"{\"text\": \"a\", \"n\": 1e999}\n", ":1: has a number too large for double precision" + expected},
      {std::string("{\"text\": \"a\"}\0{\"text\": \"b\"}\n", 29), ":1: is not JSON from column 14 on" + expected},
      {"{\"text\": \"a\"}\n" + std::string(10, '\0'), ":2: is not JSON from column 1 on" + expected},
      {"{\"text\": \"a\"}{\"text\": \"b\"}\n", ":1: is not JSON from column 14 on" + expected},
      {"[\"text\"]\n", ":1: is array" + expected},
      {"\"text\"", ":1: is string" + expected},
      {"{\"txt\": \"a\"}\n", ":1: the object has no field \"text\""},
      {"{\"text\": null}\n", ":1: the field \"text\" is null; expected a string"},
      {"{\"text\": [\"a\"]}\n", ":1: the field \"text\" is array; expected a string"},
  };
  const TempDir folder;
  for (const Case& broken : cases) {
    const std::string path = folder.Write("a.jsonl", broken.lines);
    EXPECT_EQ(ErrorOf([&] { Tokenize(folder, {path}); }), path + broken.message) << broken.lines;
    EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"a.jsonl"});
  }
}

TEST(TokenizeFiles, SurvivesDeepNesting) {
  const TempDir folder;
  const std::string deep(1'000'000, '[');
  EXPECT_THROW(Tokenize(folder, {folder.Write("a.jsonl", deep)}), IoError);
  const std::string nested =
      folder.Write("a.jsonl", "{\"x\": " + deep + std::string(deep.size(), ']') + ", \"text\": \"a\"}");
  ExpectParts(ErrorOf([&] { Tokenize(folder, {nested}); }), {"a.jsonl:1: has JSON nested more than 1000 levels deep"});
}

TEST(TokenizeFiles, RefusesInputsWithoutAnyText) {
  const TempDir folder;
  const std::string empty = folder.Write("empty.txt", "");
  const std::string blank = folder.Write("blank.jsonl", "\n\n");
  EXPECT_EQ(
      ErrorOf([&] {
        Tokenize(folder, {empty, blank});
      }),
      folder.File("out.npy") + ": nothing was written: there is no text in the 2 input files (1 empty documents)");
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"blank.jsonl", "empty.txt"}));
  const TokenizeResult result = Tokenize(folder, {empty, folder.Write("a", "a"), blank});
  EXPECT_EQ(result.documents, 1);
  EXPECT_EQ(result.empty_documents, 1);
}

TEST(TokenizeFiles, LeavesNoFileWhenALaterInputIsDamaged) {
  const TempDir folder;
  const std::string whole = folder.Write("a", std::string(3 << 20, 'a'));
  const std::string gzip = Gzip("some text");
  const std::string damaged = folder.Write("b.gz", gzip.substr(0, gzip.size() - 1));
  EXPECT_EQ(ErrorOf([&] {
              Tokenize(folder, {whole, damaged});
            }),
            damaged + ": the gzip data are cut short at byte " + std::to_string(gzip.size() - 1));
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"a", "b.gz"}));
}

TEST(TokenizeFiles, RefusesMissingInputsBeforeItStarts) {
  const TempDir folder;
  int calls = 0;
  TokenizeOptions options = {.inputs = {folder.Write("a", "a"), folder.File("missing")},
                             .output = folder.File("out.npy"),
                             .progress = [&](const TokenizeProgress&) { ++calls; }};
  EXPECT_EQ(ErrorOf([&] { TokenizeBytes(options); }),
            folder.File("missing") + ": cannot be read: No such file or directory");
  options.inputs[1] = folder.path();
  EXPECT_EQ(ErrorOf([&] { TokenizeBytes(options); }), folder.path() + ": is a folder; expected a text file");
  EXPECT_EQ(calls, 0);
}

TEST(TokenizeFiles, OverwritesOnlyWhenToldTo) {
  const TempDir folder;
  TokenizeOptions options = {.inputs = {folder.Write("a", "a")}, .output = folder.Write("out.npy", "old")};
  EXPECT_EQ(ErrorOf([&] { TokenizeBytes(options); }), options.output + ": exists already; nothing was overwritten");
  EXPECT_EQ(folder.Read("out.npy"), "old");
  options.overwrite = true;
  TokenizeBytes(options);
  EXPECT_EQ(ReadIds(folder, "out.npy"), IdsOf({"a"}));

  // The second output counts as much as the first.
  options.overwrite = false;
  options.output = folder.File("new.npy");
  options.validation_fraction = 0.5;
  options.validation_output = folder.File("out.npy");
  EXPECT_THROW(TokenizeBytes(options), IoError);
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"a", "out.npy"}));
}

TEST(TokenizeFiles, RefusesOptionsThatMakeNoSense) {
  const TempDir folder;
  const std::string input = folder.Write("a", "aaaaaaaaaa");
  const std::string out = folder.File("out"), validation = folder.File("validation");
  const auto error = [](TokenizeOptions options) { return ErrorOf<UsageError>([&] { TokenizeBytes(options); }); };
  EXPECT_EQ(error({.inputs = {}, .output = out}), "there is nothing to tokenize: give at least one input file");
  EXPECT_EQ(error({.inputs = {input}, .output = ""}), "give the name of the token file to write");
  EXPECT_EQ(error({.inputs = {input}, .output = input, .overwrite = true}), input + ": is both an input and an output");
  EXPECT_EQ(
      error(
          {.inputs = {input}, .output = out, .validation_fraction = 0.1, .validation_output = folder.path() + "/./a"}),
      input + ": is both an input and an output");
  EXPECT_EQ(error({.inputs = {input}, .output = out, .validation_fraction = 0.1, .validation_output = out}),
            out + ": is given both for the tokens and for those for validation");
  for (const double fraction : {0.0, 1.0, -0.1, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    const std::string message =
        error({.inputs = {input}, .output = out, .validation_fraction = fraction, .validation_output = validation});
    ExpectParts(message, {"must be above 0 and below 1"});
  }
  ExpectParts(error({.inputs = {input}, .output = out, .validation_fraction = 0.5}), {"must be given together"});
  EXPECT_EQ(folder.Read("a"), "aaaaaaaaaa");
}

/// A tokenizer of so many ids, of which none ends a document.
class ManyIds : public Tokenizer {
 public:
  explicit ManyIds(std::size_t count) : Tokenizer("many", /*takes_pieces=*/false) {
    SetVocabulary({.bytes = std::vector<std::optional<std::string>>(count), .end_of_text = {}});
  }
  std::vector<TokenIds> EncodeBatch(std::span<const std::string> texts) override {
    return std::vector<TokenIds>(texts.size(), TokenIds{65'536});
  }
};

TEST(TokenizeFiles, RefusesATypeThatDoesNotHoldTheVocabulary) {
  const TempDir folder;
  ManyIds tokenizer(65'537);
  TokenizeOptions options = {.inputs = {folder.Write("a", "a")}, .output = folder.File("out"), .end_of_text = 1};
  EXPECT_EQ(ErrorOf<UsageError>([&] { TokenizeFiles(options, tokenizer); }),
            "the tokenizer many has 65537 ids, of which uint16 holds 65536; accepted: uint32");
  options.token_type = TokenType::kUint32;
  TokenizeFiles(options, tokenizer);
  EXPECT_EQ(ReadIds<std::uint32_t>(folder, "out"), (Ids{65'536, 1}));
  options.end_of_text.reset();
  ExpectParts(ErrorOf<UsageError>([&] { TokenizeFiles(options, tokenizer); }), {"no token <|endoftext|>"});
}

TEST(TokenizeFiles, NamesTheByteWhereADocumentIsNotUtf8) {
  const TempDir folder;
  ManyIds tokenizer(65'536);
  const std::string path = folder.Write("a.txt", "abc\xff");
  EXPECT_EQ(
      ErrorOf([&] { TokenizeFiles({.inputs = {path}, .output = folder.File("out"), .end_of_text = 1}, tokenizer); }),
      path + ": is not UTF-8 from byte 3 on");
}

TEST(TokenizeFiles, ReportsProgressUpToTheEnd) {
  const TempDir folder;
  const std::string text(1'500'000, 'x');
  const std::string gzip = Gzip(text);
  std::vector<TokenizeProgress> seen;
  TokenizeBytes({.inputs = {folder.Write("a", text), folder.Write("b.gz", gzip)},
                 .output = folder.File("out"),
                 .progress = [&](const TokenizeProgress& progress) { seen.push_back(progress); }});
  ASSERT_GT(seen.size(), 4u);
  for (std::size_t i = 1; i < seen.size(); ++i) {
    EXPECT_GE(seen[i].consumed_bytes, seen[i - 1].consumed_bytes);
    EXPECT_GE(seen[i].tokens, seen[i - 1].tokens);
  }
  EXPECT_EQ(seen.back().total_bytes, static_cast<std::int64_t>(text.size() + gzip.size()));
  EXPECT_EQ(seen.back().consumed_bytes, seen.back().total_bytes);
  EXPECT_EQ(seen.back().tokens, 3'000'002);
}

TEST(TokenizeFiles, EndsWhenTheProgressFunctionThrows) {
  const TempDir folder;
  EXPECT_THROW(TokenizeBytes({.inputs = {folder.Write("a", "a")},
                              .output = folder.File("out"),
                              .progress = [](const TokenizeProgress&) { throw std::runtime_error("stop"); }}),
               std::runtime_error);
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"a"});
}

}  // namespace
}  // namespace coat
