#include "convert/torch_file.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "checkpoint/quoted.h"
#include "checkpoint/tensor_info.h"

namespace coat {

namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr auto kAllowed = std::to_array<std::string_view>(
    {"collections.OrderedDict", kRebuildTensor, kRebuildParameter, "torch.FloatStorage", "torch.BFloat16Storage",
     "torch.HalfStorage", "torch.DoubleStorage", "torch.LongStorage", "torch.IntStorage", "torch.ShortStorage",
     "torch.CharStorage", "torch.ByteStorage", "torch.BoolStorage"});

/// Bytes of an element of one of the storages above, without "torch.".
std::uint64_t ElementBytesOf(std::string_view storage_class) {
  constexpr auto kBytes = std::to_array<std::pair<std::string_view, std::uint64_t>>({{"FloatStorage", 4},
                                                                                     {"BFloat16Storage", 2},
                                                                                     {"HalfStorage", 2},
                                                                                     {"DoubleStorage", 8},
                                                                                     {"LongStorage", 8},
                                                                                     {"IntStorage", 4},
                                                                                     {"ShortStorage", 2}});
  for (const auto& [name, bytes] : kBytes) {
    if (name == storage_class) return bytes;
  }
  return 1;
}

/// Whether `value` is a tuple of these kinds first, then of whatever else.
bool HasKinds(const PickleValue& value, std::initializer_list<Kind> kinds) {
  if (value.kind != Kind::kTuple || value.items.size() < kinds.size()) return false;
  std::size_t i = 0;
  for (const Kind kind : kinds) {
    if (value.items[i++]->kind != kind) return false;
  }
  return true;
}

std::optional<std::vector<std::int64_t>> Integers(const PickleValue& tuple) {
  std::vector<std::int64_t> integers;
  for (const PickleValue* const item : tuple.items) {
    if (item->kind != Kind::kInteger) return std::nullopt;
    integers.push_back(item->integer);
  }
  return integers;
}

bool IsContiguous(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
  std::int64_t expected = 1;
  for (std::size_t axis = shape.size(); axis > 0; --axis) {
    if (shape[axis - 1] != 1 && strides[axis - 1] != expected) return false;
    expected *= shape[axis - 1];
  }
  return true;
}

/// `path`, unless the file is of the format that no zip archive is.
const std::string& CheckedPath(const std::string& path) {
  const MappedFile file(path, ReadOrder::kScattered);
  constexpr std::string_view kOldMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14);
  if (file.text().starts_with(kOldMagic)) {
    throw IoError(
        fmt::format("{}: of torch.save before PyTorch 1.6; accepted: its zip format, as which a newer "
                    "torch.load and torch.save write it again",
                    path));
  }
  return path;
}

}  // namespace

std::optional<FloatType> TorchTensor::type() const {
  if (storage_class == "FloatStorage") return FloatType::kFloat32;
  if (storage_class == "BFloat16Storage") return FloatType::kBFloat16;
  if (storage_class == "HalfStorage") return FloatType::kFloat16;
  return std::nullopt;
}

TorchFile::TorchFile(const std::string& path, std::span<const std::string_view> also_allowed)
    : zip_(CheckedPath(path)) {
  constexpr std::string_view kPickle = "data.pkl";
  const ZipEntry* pickle = nullptr;
  for (const ZipEntry& entry : zip_.entries()) {
    const std::size_t slash = entry.name.find('/');
    if (slash == std::string::npos || std::string_view(entry.name).substr(slash + 1) != kPickle) continue;
    pickle = &entry;
    folder_ = entry.name.substr(0, slash + 1);
    break;
  }
  if (pickle == nullptr) throw IoError(fmt::format("{}: a zip archive without {}: not of torch.save", path, kPickle));
  if (const ZipEntry* const order = zip_.Find(folder_ + "byteorder"); order != nullptr) {
    const std::span<const std::byte> bytes = zip_.Bytes(*order);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text != "little") throw IoError(fmt::format("{}: byte order {}; accepted: little", path, Quoted(text)));
  }
  std::vector<std::string_view> allowed(kAllowed.begin(), kAllowed.end());
  allowed.insert(allowed.end(), also_allowed.begin(), also_allowed.end());
  pickle_ = std::make_unique<Pickle>(zip_.Bytes(*pickle), fmt::format("{}: {}", path, pickle->name), allowed);
}

TorchTensor TorchFile::Tensor(const PickleValue& value, std::string_view name) const {
  const auto fail = [&](const std::string& what) {
    throw IoError(fmt::format("{}: {}: {}", path(), Quoted(name), what));
  };
  const PickleValue* call = &value;
  if (call->IsCallOf(kRebuildParameter) && !call->items[1]->items.empty()) call = call->items[1]->items[0];
  if (!call->IsCallOf(kRebuildTensor)) fail("no tensor");
  const PickleValue& arguments = *call->items[1];
  if (!HasKinds(arguments, {Kind::kPersistent, Kind::kInteger, Kind::kTuple, Kind::kTuple})) {
    fail("a tensor that is not made of a storage, an offset, a shape and strides");
  }
  const PickleValue& storage = *arguments.items[0]->items[0];
  if (!HasKinds(storage, {Kind::kText, Kind::kGlobal, Kind::kText, Kind::kText, Kind::kInteger}) ||
      storage.items[0]->text != "storage" || !storage.items[1]->text.ends_with("Storage")) {
    fail("a storage that is not described by its class, name, place and size");
  }
  const std::optional<std::vector<std::int64_t>> shape = Integers(*arguments.items[2]);
  const std::optional<std::vector<std::int64_t>> strides = Integers(*arguments.items[3]);
  if (!shape || !strides || shape->size() != strides->size()) fail("shape and strides do not fit");

  TorchTensor tensor;
  tensor.storage_class = storage.items[1]->text.substr(std::string_view("torch.").size());
  tensor.shape = *shape;
  const std::uint64_t element_bytes = ElementBytesOf(tensor.storage_class);
  const std::optional<std::uint64_t> bytes = TensorBytes(tensor.shape, element_bytes);
  if (!bytes) fail(fmt::format("the shape {}", ShapeText(tensor.shape)));
  if (*bytes > 0 && !IsContiguous(tensor.shape, *strides)) {
    fail(fmt::format("not contiguous: shape {}, strides {}; accepted: row-major tensors (save tensor.contiguous())",
                     ShapeText(tensor.shape), ShapeText(*strides)));
  }
  const std::string entry = fmt::format("{}data/{}", folder_, storage.items[2]->text);
  tensor.storage = zip_.Find(entry);
  if (tensor.storage == nullptr) fail(fmt::format("no storage {} in the archive", Quoted(entry)));
  const auto stored = static_cast<std::uint64_t>(tensor.storage->size);
  const std::int64_t said = storage.items[4]->integer;
  if (said < 0 || static_cast<std::uint64_t>(said) > stored / element_bytes || said * element_bytes != stored) {
    fail(fmt::format("its storage {} has {} bytes; expected {} elements of {}", Quoted(entry), stored, said,
                     tensor.storage_class));
  }
  const std::int64_t offset = arguments.items[1]->integer;
  if (offset < 0 || offset > said || *bytes > (static_cast<std::uint64_t>(said - offset)) * element_bytes) {
    fail(fmt::format("{} elements from element {} of a storage of {}", *bytes / element_bytes, offset, said));
  }
  tensor.begin = offset * static_cast<std::int64_t>(element_bytes);
  tensor.size_bytes = static_cast<std::int64_t>(*bytes);
  return tensor;
}

std::span<const std::byte> TorchFile::Bytes(const TorchTensor& tensor) const {
  return zip_.Bytes(*tensor.storage)
      .subspan(static_cast<std::size_t>(tensor.begin), static_cast<std::size_t>(tensor.size_bytes));
}

}  // namespace coat
