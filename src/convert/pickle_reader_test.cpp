#include "convert/pickle_reader.h"

#include <gtest/gtest.h>

#include <array>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

using Kind = PickleValue::Kind;
using namespace std::string_literals;

constexpr auto kAllowed = std::to_array<std::string_view>({"collections.OrderedDict", "torch.FloatStorage"});

Pickle Read(const std::string& bytes) {
  return Pickle(std::as_bytes(std::span(bytes)), "FILE", kAllowed);
}

std::string Refused(const std::string& bytes) {
  return ErrorOf<IoError>([&] { Read(bytes); });
}

void ExpectRefused(const std::string& bytes, const std::string& part) {
  EXPECT_NE(Refused(bytes).find("FILE: byte "), std::string::npos) << Refused(bytes);
  EXPECT_NE(Refused(bytes).find(part), std::string::npos) << Refused(bytes);
}

TEST(Pickle, HoldsWhatWasPickled) {
  // pickle.dumps({"a": [1, -2, 300, 70000, 2**40, -1.5], "b": (True, False, None), "c": b"xy"}, protocol=2), with the
  // bytes as protocol 3 has them.
  const Pickle pickle = Read(
      "\x80\x02}q\x00(X\x01\x00\x00\x00"s
      "aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM\x2c\x01J\x70\x11\x01\x00"s
      "\x8a\x06\x00\x00\x00\x00\x00\x01G\xbf\xf8\x00\x00\x00\x00\x00\x00"s
      "eX\x01\x00\x00\x00"s
      "bq\x03\x88\x89N\x87q\x04"s
      "X\x01\x00\x00\x00"s
      "cq\x05"s
      "C\x02xyu."s);
  const PickleValue* const a = pickle.root().Find("a");
  ASSERT_NE(a, nullptr);
  ASSERT_EQ(a->items.size(), 6u);
  const std::array<std::int64_t, 5> integers = {1, -2, 300, 70000, std::int64_t{1} << 40};
  for (std::size_t i = 0; i < integers.size(); ++i) EXPECT_EQ(a->items[i]->integer, integers[i]);
  EXPECT_EQ(a->items[5]->number, -1.5);
  const PickleValue* const b = pickle.root().Find("b");
  EXPECT_EQ(b->kind, Kind::kTuple);
  EXPECT_EQ(b->items[0]->integer, 1);
  EXPECT_EQ(b->items[1]->kind, Kind::kBool);
  EXPECT_EQ(b->items[2]->kind, Kind::kNone);
  EXPECT_EQ(pickle.root().Find("c")->text, "xy");
  EXPECT_EQ(pickle.root().Find("d"), nullptr);
}

TEST(Pickle, TakesTheLastOfEqualKeysAsPythonDoes) {
  const Pickle pickle = Read("\x80\x02}(X\x01\x00\x00\x00"s + "aK\x01X\x01\x00\x00\x00"s + "aK\x02u."s);
  EXPECT_EQ(pickle.root().Find("a")->integer, 2);
}

TEST(Pickle, RefusesGlobalsByName) {
  ExpectRefused(
      "\x80\x02"s
      "cos\nsystem\nX\x02\x00\x00\x00ls\x85R."s,
      "it asks for \"os.system\", which is not run");
  ExpectRefused(
      "\x80\x04\x8c\x08"s
      "builtins\x8c\x04"s
      "eval\x93."s,
      "\"builtins.eval\"");
  ExpectRefused(
      "\x80\x02"s
      "cos\nsystem\n."s,
      "accepted: collections.OrderedDict, torch.FloatStorage");
  ExpectRefused(
      "\x80\x02"s
      "ctorch\nFloatStorage\x00.x\n."s,
      "\"torch.FloatStorage\\x00.x\"");
  EXPECT_EQ(Read("\x80\x02"s
                 "ctorch\nFloatStorage\n."s)
                .root()
                .text,
            "torch.FloatStorage");
}

TEST(Pickle, RefusesWhatIsNoPickle) {
  ExpectRefused("", "1 bytes expected, 0 left");
  ExpectRefused("\x80", "1 bytes expected, 0 left");
  ExpectRefused("\x80\x01.", "protocol 1; accepted: 2 to 5");
  ExpectRefused("\x80\x06.", "protocol 6; accepted: 2 to 5");
  ExpectRefused("\x80\x02.", "a value expected, none there");
  ExpectRefused("\x80\x02N", "1 bytes expected, 0 left");
  ExpectRefused("\x80\x02X\xff\xff\xff\xff."s, "4294967295 bytes expected, 1 left");
  ExpectRefused(
      "\x80\x02"s
      "cos",
      "a line without end");
  ExpectRefused("\x80\x02h\x00."s, "nothing was remembered as 0");
  ExpectRefused("\x80\x02t.", "a mark expected, none there");
  ExpectRefused("\x80\x02Nq\x00(q\x01."s, "a value expected, none there");
  ExpectRefused("\x80\x02NNa.", "a list expected");
  ExpectRefused("\x80\x02]NNs.", "a dict expected");
  ExpectRefused("\x80\x02}(Nu.", "a key without a value");
  ExpectRefused("\x80\x02)NR.", "a call of a global expected");
  ExpectRefused("\x80\x02]}b.", "an object to have attributes expected");
  ExpectRefused(
      "\x80\x02"s
      "ccollections\nOrderedDict\n]\x85R."s,
      "an OrderedDict made of something");
  ExpectRefused("\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01."s, "an integer of 9 bytes; accepted: at most 8");
  ExpectRefused("\x80\x02NN\x93."s, "a module and a name expected");
  for (const char opcode : {'\x81', '\x82', '\x92', 'i', 'o', 'P', 'I', 'V', '0', '1', '2', '\x8f'}) {
    ExpectRefused("\x80\x02N"s + opcode + ".", "which no pickle of tensors has");
  }
}

TEST(Pickle, TakesDeepNestingAndSelfReferenceInItsStride) {
  constexpr int kDepth = 1'000'000;
  std::string tuples = "\x80\x02N"s;
  tuples.append(kDepth, '\x85');
  const Pickle nested = Read(tuples + ".");
  int depth = 0;
  for (const PickleValue* value = &nested.root(); value->kind == Kind::kTuple; value = value->items[0]) ++depth;
  EXPECT_EQ(depth, kDepth);
  ExpectRefused("\x80\x02"s + std::string(kDepth, '('), "1 bytes expected, 0 left");
  const Pickle itself = Read(
      "\x80\x02]q\x00h\x00"s
      "a."s);
  EXPECT_EQ(itself.root().items[0], &itself.root());
}

TEST(Pickle, BoundsWhatABombTakes) {
  // Each list holds the one before it ten times; what would print as 10^9 values are 10 lists of 10 references.
  std::string bomb = "\x80\x02]q\x00"s;
  for (char i = 1; i < 10; ++i) {
    bomb += "](";
    for (int j = 0; j < 10; ++j) bomb += std::string("h") + static_cast<char>(i - 1);
    bomb += std::string("eq") + i;
  }
  EXPECT_EQ(Read(bomb + ".").root().items.size(), 10u);
  ExpectRefused("\x80\x02("s + std::string((std::size_t{1} << 22) + 1, 'N'), "more than 4194304 values");
  ExpectRefused("\x80\x02"s + std::string(std::size_t{64} << 20, '('), "67108866 bytes; accepted: at most 67108864");
}

}  // namespace
}  // namespace coat
