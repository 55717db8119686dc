#include "convert/torch_writer.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "convert/pickle_opcodes.h"

namespace coat {

namespace {

std::string_view StorageClass(FloatType type) {
  switch (type) {
    case FloatType::kFloat32:
      return "FloatStorage";
    case FloatType::kBFloat16:
      return "BFloat16Storage";
    case FloatType::kFloat16:
      return "HalfStorage";
  }
  return "";
}

/// The pickle of a state dict. Nothing is remembered and used again, so that each tensor reads by itself.
class StateDictPickle {
 public:
  StateDictPickle() {
    Opcode(pickle_op::kProtocol);
    text_ += '\x02';
    EmptyOrderedDict();
    Opcode(pickle_op::kMark);
  }

  void Add(const StateDictEntry& entry, FloatType type, std::size_t storage) {
    Text(entry.name);
    Global("torch._utils", "_rebuild_tensor_v2");
    Opcode(pickle_op::kMark);
    Opcode(pickle_op::kMark);
    Text("storage");
    Global("torch", StorageClass(type));
    Text(fmt::format("{}", storage));
    Text("cpu");
    Integer(entry.elements());
    Opcode(pickle_op::kTuple);
    Opcode(pickle_op::kPersistent);
    Integer(0);
    Tuple(entry.shape);
    std::vector<std::int64_t> strides(entry.shape.size(), 1);
    for (std::size_t axis = strides.size(); axis > 1; --axis)
      strides[axis - 2] = strides[axis - 1] * entry.shape[axis - 1];
    Tuple(strides);
    Opcode(pickle_op::kFalse);  // needs no gradient
    EmptyOrderedDict();         // of hooks
    Opcode(pickle_op::kTuple);
    Opcode(pickle_op::kReduce);
  }

  std::string Finish() {
    Opcode(pickle_op::kSetItems);
    Opcode(pickle_op::kStop);
    return std::move(text_);
  }

 private:
  void Opcode(unsigned char opcode) { text_ += static_cast<char>(opcode); }
  void Bytes(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) text_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  void Text(std::string_view text) {
    Opcode(pickle_op::kText4);
    Bytes(text.size(), 4);
    text_ += text;
  }
  void Integer(std::int64_t value) {
    Opcode(pickle_op::kLong1);
    Bytes(8, 1);
    Bytes(static_cast<std::uint64_t>(value), 8);
  }
  void Tuple(const std::vector<std::int64_t>& values) {
    Opcode(pickle_op::kMark);
    for (const std::int64_t value : values) Integer(value);
    Opcode(pickle_op::kTuple);
  }
  void Global(std::string_view module, std::string_view name) {
    Opcode(pickle_op::kGlobal);
    text_ += fmt::format("{}\n{}\n", module, name);
  }
  void EmptyOrderedDict() {
    Global("collections", "OrderedDict");
    Opcode(pickle_op::kEmptyTuple);
    Opcode(pickle_op::kReduce);
  }

  std::string text_;
};

}  // namespace

std::int64_t StateDictEntry::elements() const {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) elements *= size;
  return elements;
}

TorchWriter::TorchWriter(const std::string& path, std::vector<StateDictEntry> entries, FloatType type)
    : zip_(path),
      folder_(std::filesystem::path(path).stem().string() + "/"),
      entries_(std::move(entries)),
      type_(type) {
  StateDictPickle pickle;
  for (std::size_t i = 0; i < entries_.size(); ++i) pickle.Add(entries_[i], type, i);
  zip_.Add(folder_ + "data.pkl", pickle.Finish());
  zip_.Add(folder_ + "byteorder", "little");
}

void TorchWriter::Next() {
  COAT_REQUIRE(next_ < entries_.size(), "TorchWriter: {} tensors are all", entries_.size());
  zip_.Begin(fmt::format("{}data/{}", folder_, next_),
             entries_[next_].elements() * static_cast<std::int64_t>(SizeOf(type_)));
  ++next_;
}

void TorchWriter::Finish() {
  COAT_REQUIRE(next_ == entries_.size(), "TorchWriter: finished after {} of {} tensors", next_, entries_.size());
  zip_.Add(folder_ + "version", "3\n");
  zip_.Finish();
}

}  // namespace coat
