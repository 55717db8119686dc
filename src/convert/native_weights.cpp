#include "convert/native_weights.h"

#include <fmt/format.h>

#include "base/error.h"
#include "checkpoint/file_names.h"
#include "checkpoint/quoted.h"
#include "convert/native_files.h"
#include "convert/native_names.h"
#include "convert/safetensors_key.h"

namespace coat {

NativeWeights::NativeWeights(const std::string& folder, std::int64_t block_group_size) {
  const auto file = [&](std::string_view name) { return fmt::format("{}/{}", folder, name); };
  if (path_ = file(kNativeSafetensorsFile); KindOf(path_) != PathKind::kMissing) {
    ReadSafetensors(block_group_size);
  } else if (path_ = file(kNativeModelFile); KindOf(path_) != PathKind::kMissing) {
    ReadTorch(block_group_size);
  } else {
    throw IoError(fmt::format("{}: no {} and no {}", folder, kNativeModelFile, kNativeSafetensorsFile));
  }
}

void NativeWeights::Add(NativeTensor tensor, std::int64_t block_group_size) {
  const std::string name = ToOlmoName(tensor.name, block_group_size);
  if (const auto [other, is_new] = tensors_.emplace(name, tensor); !is_new) {
    throw IoError(fmt::format("{}: tensors {} and {} are both {}; expected one", path_, Quoted(other->second.name),
                              Quoted(tensor.name), Quoted(name)));
  }
}

void NativeWeights::ReadTorch(std::int64_t block_group_size) {
  torch_ = std::make_shared<const TorchFile>(path_);
  const PickleValue& root = torch_->root();
  if (root.kind != PickleValue::Kind::kDict) throw IoError(fmt::format("{}: expected a dict of tensors", path_));
  for (std::size_t i = 0; i < root.items.size(); i += 2) {
    if (root.items[i]->kind != PickleValue::Kind::kText) {
      throw IoError(fmt::format("{}: a key that is no text; expected the names of tensors", path_));
    }
    const std::string& name = root.items[i]->text;
    const std::string place = fmt::format("{}: tensor {}", path_, Quoted(name));
    const TorchTensor tensor = torch_->Tensor(*root.items[i + 1], name);
    const std::optional<FloatType> type = tensor.type();
    if (!type) {
      throw IoError(fmt::format("{} has a {}; accepted: FloatStorage, BFloat16Storage, HalfStorage", place,
                                tensor.storage_class));
    }
    Add({.name = name,
         .shape = tensor.shape,
         .piece = {.type = *type,
                   .elements = tensor.size_bytes / static_cast<std::int64_t>(SizeOf(*type)),
                   .place = place,
                   .bytes = [file = torch_.get(), tensor] { return file->Bytes(tensor); }}},
        block_group_size);
  }
}

void NativeWeights::ReadSafetensors(std::int64_t block_group_size) {
  safetensors_ = std::make_shared<const SafetensorsReader>(path_);
  for (const TensorInfo& info : safetensors_->tensors()) {
    const std::string name = NameOfSafetensorsKey(info.name, path_);
    const std::string place = fmt::format("{}: tensor {}", path_, Quoted(name));
    const std::optional<FloatType> type = ParseSafetensorsName(info.dtype);
    if (!type) throw IoError(fmt::format("{} is {}; accepted: F32, BF16, F16", place, info.dtype));
    Add({.name = name,
         .shape = info.shape,
         .piece = {.type = *type,
                   .elements = static_cast<std::int64_t>(info.size_bytes() / SizeOf(*type)),
                   .place = place,
                   .bytes = [file = safetensors_.get(), key = info.name] { return file->Bytes(key); }}},
        block_group_size);
  }
}

}  // namespace coat
