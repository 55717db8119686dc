#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string Length(std::uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

/// A file with this header, its length before it and `data_bytes` bytes behind it.
std::string FileWith(const std::string& header, std::size_t data_bytes) {
  return Length(header.size()) + header + std::string(data_bytes, 'd');
}

/// What the reader says of a file with these bytes.
std::string Refusal(const std::string& bytes) {
  const TempDir folder;
  const std::string path = folder.Write("hostile.safetensors", bytes);
  const std::string message = ErrorOf([&] { const SafetensorsReader reader(path); });
  ExpectParts(message, {path});
  return message;
}

/// What the reader says of one tensor "a" with this entry before `data_bytes` bytes of data.
std::string EntryRefusal(const std::string& entry, std::size_t data_bytes = 8) {
  return Refusal(FileWith("{\"a\":" + entry + "}", data_bytes));
}

TEST(Safetensors, RoundTripsEveryDtypeAndShape) {
  const std::vector<std::pair<std::string, std::int64_t>> dtypes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
      {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},     {"I32", 4},
      {"F32", 4},  {"U64", 8}, {"I64", 8}, {"F64", 8},     {"C64", 8}};
  const std::vector<std::vector<std::int64_t>> shapes = {{},     {0},       {1},          {7},
                                                         {3, 5}, {2, 0, 4}, {2, 3, 1, 5}, {1, 1, 1, 1, 1, 3}};
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> contents;
  std::mt19937 random(7);
  for (const auto& [dtype, element_bytes] : dtypes) {
    for (const std::vector<std::int64_t>& shape : shapes) {
      TensorInfo tensor{.name = dtype + ShapeText(shape), .dtype = dtype, .shape = shape};
      std::int64_t size_bytes = element_bytes;
      for (const std::int64_t size : shape) size_bytes *= size;
      for (std::int64_t i = 0; i < size_bytes; ++i) contents[tensor.name] += static_cast<char>(random());
      contents[tensor.name];
      tensors.push_back(tensor);
    }
  }
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"\u00e9 \"quoted\"\n", "\t\\"}, {"", ""}};

  const TempDir folder;
  const std::string path = folder.File("all.safetensors");
  SafetensorsWriter writer(path, tensors, metadata);
  for (const TensorInfo& tensor : writer.tensors()) {
    const std::string& bytes = contents.at(tensor.name);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {  // in pieces
      writer.Write(tensor.name, BytesOf(std::string_view(bytes).substr(at, 3)));
    }
  }
  const FileRecord record = writer.Finish();
  EXPECT_EQ(record.name, "all.safetensors");
  EXPECT_EQ(record.size_bytes, folder.Read(path).size());

  const SafetensorsReader reader(path);
  EXPECT_EQ(reader.metadata(), metadata);
  ASSERT_EQ(reader.tensors().size(), tensors.size());
  for (const TensorInfo& tensor : tensors) {
    ASSERT_TRUE(reader.Contains(tensor.name));
    EXPECT_EQ(reader.Info(tensor.name).dtype, tensor.dtype);
    EXPECT_EQ(reader.Info(tensor.name).shape, tensor.shape);
    EXPECT_EQ(TextOf(reader.Bytes(tensor.name)), contents.at(tensor.name)) << tensor.name;
  }
  for (const auto& [dtype, element_bytes] : dtypes) {
    const auto begin = static_cast<std::int64_t>(reader.Info(dtype + "[3, 5]").begin);
    EXPECT_EQ(begin % element_bytes, 0) << dtype << " is not aligned in the file";
  }
}

TEST(Safetensors, WritesTheseBytes) {
  const TempDir folder;
  const auto write = [&](const std::string& name) {
    SafetensorsWriter writer(
        folder.File(name),
        {{.name = "codes", .dtype = "F8_E4M3", .shape = {3}}, {.name = "scale", .dtype = "F32", .shape = {}}},
        {{"b", "2"}, {"a", "1"}});
    writer.Write("scale", BytesOf("abcd"));
    writer.Write("codes", BytesOf("xyz"));
    writer.Finish();
    return folder.Read(name);
  };
  // Laid out by hand after the format's description.
  const std::string header = R"({"__metadata__":{"a":"1","b":"2"},)"
                             R"("scale":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                             R"("codes":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[4,7]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(write("first"), Length(padded.size()) + padded + "abcdxyz");
  EXPECT_EQ(write("second"), folder.Read("first"));
}

TEST(Safetensors, StartsTheDataAtAMultipleOf8Bytes) {
  const TempDir folder;
  for (std::size_t length = 1; length <= 16; ++length) {
    const std::string name(length, 'n');
    SafetensorsWriter(folder.File(name), {{.name = name, .dtype = "F64", .shape = {0}}}).Finish();
    const std::string bytes = folder.Read(name);
    EXPECT_EQ(bytes.size() % 8, 0u);
    EXPECT_EQ(bytes.substr(0, 8), Length(bytes.size() - 8));
    EXPECT_LT(bytes.size() - bytes.rfind('}'), 9u);
    EXPECT_EQ(bytes.find_first_not_of(' ', bytes.rfind('}') + 1), std::string::npos);
  }
}

TEST(Safetensors, ReadsForeignFilesWithAnyOrderOfKeysAndNoPadding) {
  const TempDir folder;
  const std::string path = folder.Write(
      "foreign", FileWith("{\n \"b\": {\"data_offsets\":[2,4],\"shape\":[1,2],\"dtype\":\"U8\"},\t\"__metadata__\":{},"
                          "\"a\":{\"shape\":[-0,3],\"dtype\":\"F64\",\"data_offsets\":[0,0]},"
                          "\"c\":{\"shape\":[2],\"dtype\":\"I8\",\"data_offsets\":[0,2]}}  ",
                          4));
  const SafetensorsReader reader(path);
  ASSERT_EQ(reader.tensors().size(), 3u);
  EXPECT_EQ(reader.tensors()[0].name, "a");
  EXPECT_EQ(reader.tensors()[1].name, "c");
  EXPECT_EQ(reader.tensors()[2].name, "b");
  EXPECT_EQ(reader.Bytes("a").size(), 0u);
  EXPECT_EQ(TextOf(reader.Bytes("b")), "dd");
}

TEST(Safetensors, ReadsAFileWithoutTensors) {
  const TempDir folder;
  const SafetensorsReader reader(folder.Write("empty", FileWith("{}", 0)));
  EXPECT_TRUE(reader.tensors().empty());
  ExpectParts(ErrorOf([&] { reader.Info("w"); }), {"no tensor \"w\" among its 0"});
}

TEST(Safetensors, NamesWhatIsMissingOrOfAnotherShape) {
  const TempDir folder;
  const std::string path =
      folder.Write("one", FileWith(R"({"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}})", 8));
  const SafetensorsReader reader(path);
  EXPECT_EQ(reader.Bytes("w", "F32", {2, 1}).size(), 8u);
  ExpectParts(ErrorOf([&] { reader.Bytes("v"); }), {path, "\"v\"", "\"w\""});
  ExpectParts(ErrorOf([&] { reader.Bytes("w", "F32", {1, 2}); }), {path, "\"w\"", "F32 [2, 1]", "expected F32 [1, 2]"});
  ExpectParts(ErrorOf([&] { reader.Bytes("w", "I32", {2, 1}); }), {"F32 [2, 1]", "expected I32 [2, 1]"});
}

TEST(Safetensors, RefusesHeaderLengthsThatDoNotFit) {
  ExpectParts(Refusal(""), {"0 bytes long"});
  ExpectParts(Refusal("1234567"), {"7 bytes long"});
  ExpectParts(Refusal(Length(std::uint64_t{1} << 63) + "{}"), {"9223372036854775808", "100000000"});
  ExpectParts(Refusal(Length(~std::uint64_t{0}) + "{}"), {"18446744073709551615", "100000000"});
  ExpectParts(Refusal(Length(~std::uint64_t{0} - 7) + "{}"), {"18446744073709551608"});
  ExpectParts(Refusal(Length(100'000'001) + "{}"), {"100000001"});
  ExpectParts(Refusal(Length(100'000'000) + "{}"), {"only 2 bytes follow"});
  ExpectParts(Refusal(Length(3) + "{}"), {"length at byte 0 is 3", "only 2 bytes follow", "truncated"});
  ExpectParts(Refusal(Length(0)), {"starts with \"\""});
}

TEST(Safetensors, RefusesWhatIsNotAFile) {
  const TempDir folder;
  ExpectParts(ErrorOf([&] { const SafetensorsReader reader(folder.path()); }), {folder.path(), "is a folder"});
  const std::string missing = folder.File("missing");
  ExpectParts(ErrorOf([&] { const SafetensorsReader reader(missing); }), {missing, "No such file"});
  const std::string pipe = folder.File("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  ExpectParts(ErrorOf([&] { const SafetensorsReader reader(pipe); }),
              {pipe, "not a regular file"});  // and does not wait
}

TEST(Safetensors, ReportsAFileThatWasCutShortWhileInUse) {
  const TempDir folder;
  const std::string path =
      folder.Write("w", FileWith(R"({"w":{"dtype":"U8","shape":[50000],"data_offsets":[0,50000]}})", 50'000));
  const SafetensorsReader reader(path);
  EXPECT_EQ(TextOf(reader.Bytes("w")), std::string(50'000, 'd'));
  fs::resize_file(path, 10'000);
  ExpectParts(ErrorOf([&] { reader.Bytes("w"); }), {path, "shorter while in use: 10000 bytes"});
}

TEST(Safetensors, RefusesEveryTruncationAndTrailingBytes) {
  const std::string whole = FileWith(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4);
  for (std::size_t size = 0; size < whole.size(); ++size) Refusal(whole.substr(0, size));
  ExpectParts(Refusal(whole.substr(0, whole.size() - 1)), {"3 bytes of data", "expected 4", "truncated"});
  ExpectParts(Refusal(whole + "x"), {"5 bytes of data", "expected 4", "trailing"});
}

TEST(Safetensors, RefusesOverlapsAndHoles) {
  const auto two = [](const std::string& a, const std::string& b, std::size_t data_bytes) {
    return Refusal(FileWith(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                                R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                            data_bytes));
  };
  ExpectParts(two("[0,4]", "[3,7]", 7), {"tensor \"b\"", "start at 3", "expected 4", "overlap"});
  ExpectParts(two("[0,4]", "[0,4]", 4), {"tensor \"b\"", "start at 0", "expected 4", "overlap"});
  ExpectParts(two("[0,4]", "[5,9]", 9), {"tensor \"b\"", "start at 5", "expected 4", "hole"});
  ExpectParts(two("[5,9]", "[1,5]", 9), {"tensor \"b\"", "start at 1", "expected 0", "hole"});
  ExpectParts(two("[4,8]", "[0,4]", 9), {"9 bytes of data", "expected 8"});
  ExpectParts(two("[0,4]", "[4,8]", 7), {"7 bytes of data", "expected 8"});
}

TEST(Safetensors, RefusesEntriesThatMakeNoSense) {
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
              {"tensor \"a\"", "[0, 4] hold 4 bytes", "expected 8 for F32 [2]"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), {"run backward"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), {"\"a\"", "shape holds -2"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), {"data_offsets holds -8"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), {"shape holds \"2.0\""});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})"), {"shape holds \"2\""});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})"), {"shape holds a list"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[null],"data_offsets":[0,8]})"), {"shape holds null"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"), {"shape is 2", "a list of integers"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})"), {"data_offsets has 1 numbers"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})"), {"data_offsets holds 8"});
  ExpectParts(EntryRefusal(R"({"dtype":"f32","shape":[2],"data_offsets":[0,8]})"), {"dtype \"f32\"", "F32"});
  ExpectParts(EntryRefusal(R"({"dtype":"F4","shape":[2],"data_offsets":[0,1]})", 1), {"dtype \"F4\""});
  ExpectParts(EntryRefusal(R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})"), {"dtype is 32", "a string"});
  ExpectParts(EntryRefusal(R"({"shape":[2],"data_offsets":[0,8]})"), {"the key dtype is missing"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","data_offsets":[0,8]})"), {"the key shape is missing"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[2]})"), {"the key data_offsets is missing"});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"extra":1})"), {"unknown key \"extra\""});
  ExpectParts(EntryRefusal(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
              {"key dtype comes twice"});
  ExpectParts(EntryRefusal(R"([])"), {"a list"});
  ExpectParts(EntryRefusal(R"("F32")"), {"value of \"a\" is \"F32\"", "an object"});
  ExpectParts(EntryRefusal(R"(true)"), {"value of \"a\" is true"});
}

TEST(Safetensors, RefusesShapesThatOverflow) {
  for (const char* const shape : {"[4294967296,4294967296]", "[9223372036854775807,2]", "[9223372036854775807]",
                                  "[4611686018427387904,4]", "[2147483648,2147483648,2147483648,2147483648]"}) {
    ExpectParts(EntryRefusal(std::string(R"({"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,8]})"),
                {"tensor \"a\"", "more than 2^63 - 1 bytes"});
    // 0 is what the product is modulo 2^64 in most of these.
    ExpectParts(EntryRefusal(std::string(R"({"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,0]})", 0),
                {"more than 2^63 - 1 bytes"});
  }
  ExpectParts(EntryRefusal(R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,8]})"),
              {"shape holds 18446744073709551615"});
  ExpectParts(EntryRefusal(R"({"dtype":"U8","shape":[18446744073709551617],"data_offsets":[0,8]})"), {"shape holds"});
  ExpectParts(EntryRefusal(R"({"dtype":"U8","shape":[8],"data_offsets":[18446744073709551608,0]})"),
              {"data_offsets holds 18446744073709551608"});
  ExpectParts(EntryRefusal(R"({"dtype":"U8","shape":[8],"data_offsets":[9223372036854775799,9223372036854775807]})"),
              {"start at 9223372036854775799", "hole"});
}

TEST(Safetensors, RefusesHeadersThatAreNotOneStrictJsonObject) {
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  ExpectParts(Refusal(FileWith(" {}", 0)), {"starts with \" \""});
  ExpectParts(Refusal(FileWith("[]", 0)), {"starts with \"[\""});
  ExpectParts(Refusal(FileWith("\xef\xbb\xbf{}", 0)), {"starts with"});
  ExpectParts(Refusal(FileWith("{", 0)), {"no valid JSON"});
  ExpectParts(Refusal(FileWith("{}{}", 0)), {"no valid JSON at byte 3"});
  ExpectParts(Refusal(FileWith("{} x", 0)), {"no valid JSON at byte 4"});
  ExpectParts(Refusal(FileWith("{\"a\":" + entry + ",}", 0)), {"no valid JSON"});
  ExpectParts(Refusal(FileWith("{/**/}", 0)), {"no valid JSON"});
  ExpectParts(Refusal(FileWith("{\"a\":" + entry + ",\"a\":" + entry + "}", 0)), {"the name \"a\" comes twice"});
  ExpectParts(Refusal(FileWith("{\"a\":" + entry + ",\"\\u0061\":" + entry + "}", 0)), {"the name \"a\" comes twice"});
  ExpectParts(Refusal(FileWith("{\"a\xff\":" + entry + "}", 0)), {"no valid JSON", "\\xff"});
  ExpectParts(Refusal(FileWith("{\"\xc0\xaf\":" + entry + "}", 0)), {"no valid JSON"});
  ExpectParts(Refusal(FileWith("{\"\\ud800\":" + entry + "}", 0)), {"no valid JSON"});
  ExpectParts(Refusal(FileWith(std::string("{}\0garbage", 10), 0)), {"null byte at byte 2"});
  ExpectParts(Refusal(FileWith("{\"a\n\":" + entry + "}", 0)), {"no valid JSON"});
  ExpectParts(Refusal(FileWith(R"({"a":{"dtype":"U8","shape":[1e999],"data_offsets":[0,0]}})", 0)), {"header"});
}

TEST(Safetensors, RefusesMetadataThatAreNotStrings) {
  ExpectParts(Refusal(FileWith(R"({"__metadata__":{"epoch":1}})", 0)), {"__metadata__", "\"epoch\" is 1", "a string"});
  ExpectParts(Refusal(FileWith(R"({"__metadata__":{"x":{}}})", 0)), {"\"x\" is an object"});
  ExpectParts(Refusal(FileWith(R"({"__metadata__":{"x":["y"]}})", 0)), {"\"x\" is a list"});
  ExpectParts(Refusal(FileWith(R"({"__metadata__":{"x":null}})", 0)), {"\"x\" is null"});
  ExpectParts(Refusal(FileWith(R"({"__metadata__":{"x":"1","x":"1"}})", 0)), {"\"x\" comes twice"});
  ExpectParts(Refusal(FileWith(R"({"__metadata__":{},"__metadata__":{}})", 0)), {"\"__metadata__\" comes twice"});
  ExpectParts(Refusal(FileWith(R"({"__metadata__":"x"})", 0)), {"\"__metadata__\" is \"x\"", "an object"});
}

TEST(Safetensors, RefusesDeeplyNestedHeadersWithoutRecursion) {
  ExpectParts(Refusal(FileWith("{\"a\":" + std::string(5'000'000, '['), 0)), {"a list"});
  ExpectParts(Refusal(FileWith("{\"a\":{\"shape\":" + std::string(5'000'000, '['), 0)), {"a list"});
}

TEST(Safetensors, KeepsHostileNamesOutOfTheTerminal) {
  const std::string message = Refusal(FileWith("{\"\\u001b[2J" + std::string(5000, 'n') + "\":1}", 0));
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), 500u);
}

TEST(Safetensors, NeverHandsOutBytesBeyondTheFileWhateverTheHeader) {
  const std::string whole = FileWith(R"({"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                     R"("bb":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]}})",
                                     12);
  const std::string alphabet = "{}[]\",:0123456789-eE.\\ aU8F32\x01\xff";
  const TempDir folder;
  std::mt19937 random(11);
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string bytes = whole;
    const auto changes = 1 + random() % 3;
    for (std::size_t change = 0; change < changes; ++change) {
      bytes[random() % bytes.size()] = alphabet[random() % alphabet.size()];
    }
    fs::remove(folder.File("mutated"));  // a file written over waits for the disk on ext4
    const std::string path = folder.Write("mutated", bytes);
    try {
      const SafetensorsReader reader(path);
      ++accepted;
      std::size_t sum = 0;
      for (const TensorInfo& tensor : reader.tensors()) sum += TextOf(reader.Bytes(tensor.name)).size();
      EXPECT_EQ(sum, 12u);
    } catch (const IoError&) {
    }
  }
  EXPECT_GT(accepted, 0);  // changes in names and data are no faults of the format
  EXPECT_LT(accepted, 4000);
}

TEST(SafetensorsWriter, RefusesTensorsThatTheFormatCannotHoldAndLeavesNoFile) {
  const TempDir folder;
  const auto refuse = [&](std::vector<TensorInfo> tensors, std::map<std::string, std::string> metadata = {}) {
    const std::string message =
        ErrorOf<ArgumentError>([&] { SafetensorsWriter(folder.File("w"), std::move(tensors), metadata); });
    EXPECT_FALSE(fs::exists(folder.File("w")));
    return message;
  };
  ExpectParts(refuse({{.name = "a", .dtype = "F33", .shape = {}}}), {"\"a\"", "\"F33\""});
  ExpectParts(refuse({{.name = "a", .dtype = "F32", .shape = {-1}}}), {"\"a\"", "[-1]"});
  ExpectParts(refuse({{.name = "a", .dtype = "U8", .shape = {INT64_MAX}}, {.name = "b", .dtype = "U8", .shape = {1}}}),
              {"\"b\""});
  ExpectParts(refuse({{.name = "a", .dtype = "U8", .shape = {}}, {.name = "a", .dtype = "F32", .shape = {}}}),
              {"twice"});
  ExpectParts(refuse({{.name = "__metadata__", .dtype = "U8", .shape = {}}}), {"__metadata__"});
  ExpectParts(refuse({{.name = "\xff", .dtype = "U8", .shape = {}}}), {"UTF-8"});
  ExpectParts(refuse({}, {{"key", "\xff"}}), {"UTF-8"});
}

TEST(SafetensorsWriter, TakesTheBytesOnlyInOrderAndInFull) {
  const TempDir folder;
  const std::vector<TensorInfo> tensors = {{.name = "a", .dtype = "U8", .shape = {2}},
                                           {.name = "none", .dtype = "U8", .shape = {0}},
                                           {.name = "b", .dtype = "U8", .shape = {1}}};
  SafetensorsWriter writer(folder.File("w"), tensors);
  ExpectParts(ErrorOf<ArgumentError>([&] { writer.Write("b", BytesOf("x")); }), {"\"b\"", "\"a\"'s turn"});
  ExpectParts(ErrorOf<ArgumentError>([&] { writer.Write("a", BytesOf("xyz")); }), {"3 bytes", "2 left"});
  writer.Write("a", BytesOf("x"));
  ExpectParts(ErrorOf<ArgumentError>([&] { writer.Finish(); }), {"1 bytes before the end of \"a\""});
  writer.Write("a", BytesOf("y"));
  writer.Write("none", {});
  writer.Write("b", BytesOf("z"));
  ExpectParts(ErrorOf<ArgumentError>([&] { writer.Write("b", BytesOf("x")); }), {"after the last"});
  writer.Finish();
  ErrorOf<ArgumentError>([&] { writer.Finish(); });
  EXPECT_EQ(TextOf(SafetensorsReader(folder.File("w")).Bytes("a")), "xy");
}

TEST(SafetensorsWriter, NeverOverwrites) {
  const TempDir folder;
  const std::string path = folder.Write("precious", "data");
  ExpectParts(ErrorOf([&] { SafetensorsWriter(path, {}); }), {path, "File exists"});
  EXPECT_EQ(folder.Read(path), "data");
}

}  // namespace
}  // namespace coat
