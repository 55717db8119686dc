#include "convert/torch_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "convert/torch_writer.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

using namespace std::string_literals;

/// The pickle of a number from 0 to 255, or of a negative one.
std::string Number(int value) {
  if (value >= 0) return "K"s + static_cast<char>(value);
  return "J"s + static_cast<char>(value) + "\xff\xff\xff"s;
}

std::string Tuple(std::initializer_list<int> values) {
  std::string text = "(";
  for (const int value : values) text += Number(value);
  return text + "t";
}

/// What a tensor's pickle says, to be changed.
struct Said {
  std::string storage_class = "FloatStorage";
  std::string storage = "0";
  int elements = 6;
  int offset = 0;
  std::string shape = Tuple({2, 3});
  std::string strides = Tuple({3, 1});
};

class TorchFileTest : public testing::Test {
 protected:
  static std::string PickleOf(const Said& said) {
    return "\x80\x02}X\x01\x00\x00\x00"s
           "xctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00"s
           "storagectorch\n" +
           said.storage_class + "\nX\x01\x00\x00\x00"s + said.storage +
           "X\x03\x00\x00\x00"s
           "cpu" +
           Number(said.elements) + "tQ" + Number(said.offset) + said.shape + said.strides + "\x89}tRs.";
  }

  /// An archive with a tensor "x" on a storage of 24 bytes.
  std::string Archive(const Said& said, const std::string& byte_order = "little") const {
    const std::string path = folder_.File("x.pt");
    std::filesystem::remove(path);
    ZipWriter zip(path);
    zip.Add("any/data.pkl", PickleOf(said));
    zip.Add("any/byteorder", byte_order);
    zip.Add("any/data/0", std::string(24, 'a'));
    zip.Finish();
    return path;
  }

  void Read(const Said& said) const {
    const TorchFile file(Archive(said));
    file.Bytes(file.Tensor(*file.root().Find("x"), "x"));
  }
  std::string Refused(const Said& said) const {
    return ErrorOf<IoError>([&] { Read(said); });
  }
  void ExpectRefused(const Said& said, const std::string& part) const {
    EXPECT_NE(Refused(said).find(part), std::string::npos) << Refused(said);
  }

  TempDir folder_;
};

TEST_F(TorchFileTest, HoldsWhatWasWritten) {
  const std::string path = folder_.File("model.pt");
  TorchWriter writer(
      path, {{.name = "x", .shape = {2, 3}}, {.name = "scalar", .shape = {}}, {.name = "none", .shape = {0, 2}}},
      FloatType::kBFloat16);
  writer.Next();
  writer.Write(std::as_bytes(std::span("abcdefghijkl", 12)));
  writer.Next();
  writer.Write(std::as_bytes(std::span("mn", 2)));
  writer.Next();
  writer.Finish();
  const TorchFile file(path);
  const auto bytes = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    const TorchTensor tensor = file.Tensor(*file.root().Find(name), name);
    EXPECT_EQ(tensor.shape, shape);
    EXPECT_EQ(tensor.type(), FloatType::kBFloat16);
    const std::span<const std::byte> found = file.Bytes(tensor);
    return std::string(reinterpret_cast<const char*>(found.data()), found.size());
  };
  EXPECT_EQ(bytes("x", {2, 3}), "abcdefghijkl");
  EXPECT_EQ(bytes("scalar", {}), "mn");
  EXPECT_EQ(bytes("none", {0, 2}), "");
}

TEST_F(TorchFileTest, TakesAPartOfAStorageAndAnyStrideOfOneRow) {
  Read({});
  Read({.offset = 2, .shape = Tuple({4}), .strides = Tuple({1})});
  Read({.shape = Tuple({1, 6}), .strides = Tuple({99, 1})});
  Read({.offset = 6, .shape = Tuple({0}), .strides = Tuple({5})});
}

TEST_F(TorchFileTest, RefusesTensorsThatDoNotFitTheirStorage) {
  ExpectRefused({.shape = Tuple({2, 4}), .strides = Tuple({4, 1})}, "8 elements from element 0 of a storage of 6");
  ExpectRefused({.offset = 1}, "6 elements from element 1 of a storage of 6");
  ExpectRefused({.offset = 7}, "from element 7 of a storage of 6");
  ExpectRefused({.offset = -1}, "from element -1 of a storage of 6");
  ExpectRefused({.elements = 7}, "has 24 bytes; expected 7 elements of FloatStorage");
  ExpectRefused({.elements = 5}, "has 24 bytes; expected 5 elements");
  ExpectRefused({.elements = -6}, "expected -6 elements");
  ExpectRefused({.storage_class = "HalfStorage"}, "expected 6 elements of HalfStorage");
  ExpectRefused({.storage = "1"}, "no storage \"any/data/1\"");
  ExpectRefused({.storage_class = "QInt8Storage"}, "it asks for \"torch.QInt8Storage\"");
}

TEST_F(TorchFileTest, RefusesShapesAndStridesThatAreNoMatrix) {
  ExpectRefused({.strides = Tuple({1, 2})}, "not contiguous: shape [2, 3], strides [1, 2]");
  ExpectRefused({.strides = Tuple({0, 1})}, "not contiguous");
  ExpectRefused({.strides = Tuple({1, 1})}, "not contiguous");
  ExpectRefused({.strides = Tuple({-3, 1})}, "not contiguous");
  ExpectRefused({.strides = Tuple({1})}, "shape and strides do not fit");
  ExpectRefused({.shape = "(NNt"}, "shape and strides do not fit");
  ExpectRefused({.shape = Tuple({-2, -3})}, "the shape [-2, -3]");
  const std::string huge = "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40"s;
  ExpectRefused({.shape = "(" + huge + huge + "t"}, "the shape [4611686018427387904, 4611686018427387904]");
  ExpectRefused({.shape = "N"}, "not made of a storage, an offset, a shape and strides");
}

TEST_F(TorchFileTest, RefusesOrReadsItsOwnBytesWhenAPickleChanges) {
  const std::string pickle = PickleOf({});
  std::string good = folder_.Read(Archive({}));
  good.replace(good.find("PK\x01\x02") + 16, 4, "\0\0\0\0"s);  // of the pickle's checksum: none
  const std::size_t begin = good.find(pickle);
  std::mt19937 generator(1);
  int read = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = good;
    for (unsigned i = 0; i <= generator() % 2; ++i) {
      bytes[begin + generator() % pickle.size()] = static_cast<char>(generator());
    }
    const std::string path = folder_.Write("x.pt", bytes);
    try {
      const TorchFile file(path);
      if (file.root().kind != PickleValue::Kind::kDict) continue;
      for (std::size_t i = 1; i < file.root().items.size(); i += 2) {
        const TorchTensor tensor = file.Tensor(*file.root().items[i], "x");
        const std::span<const std::byte> bytes = file.Bytes(tensor);
        EXPECT_LE(bytes.size(), 24u);
        EXPECT_TRUE(std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{'a'}; }));
        ++read;
      }
    } catch (const IoError& error) {
      EXPECT_NE(std::string_view(error.what()).find("x.pt: "), std::string_view::npos) << error.what();
    }
  }
  EXPECT_GT(read, 10);
  EXPECT_LT(read, 900);
}

TEST_F(TorchFileTest, RefusesWhatIsNoTensor) {
  const std::string path = Archive({});
  const TorchFile file(path);
  EXPECT_NE(ErrorOf<IoError>([&] { file.Tensor(file.root(), "root"); }).find("x.pt: \"root\": no tensor"),
            std::string::npos);
  const std::string big = Archive({}, "big");
  EXPECT_NE(ErrorOf<IoError>([&] { TorchFile other(big); }).find("byte order \"big\"; accepted: little"),
            std::string::npos);
  std::filesystem::remove(path);
  ZipWriter zip(path);
  zip.Add("data", "x");
  zip.Finish();
  EXPECT_NE(ErrorOf<IoError>([&] { TorchFile other(path); }).find("a zip archive without data.pkl"), std::string::npos);
}

}  // namespace
}  // namespace coat
