#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "convert/model.h"
#include "convert/torch_file.h"

namespace coat {

/// A tensor of an unsharded checkpoint of OLMo.
struct NativeTensor {
  std::string name;  // in the file
  std::vector<std::int64_t> shape;
  TensorPiece piece;
};

/// The tensors of `model.safetensors` or, as in OLMo only if there is none, of `model.pt`.
///
/// The keys of the former are names, or OLMo's encoding of a path of names: base64 of a pickle, which is read as data.
class NativeWeights {
 public:
  /// Throws IoError for damaged files, tensors of types other than float32, bfloat16 and float16, two tensors that have
  /// the same of our names (native_names.h), and for sharded checkpoints, with what to do about them.
  NativeWeights(const std::string& folder, std::int64_t block_group_size);

  const std::string& path() const { return path_; }
  /// By our names.
  const std::map<std::string, NativeTensor>& tensors() const { return tensors_; }

 private:
  void Add(NativeTensor tensor, std::int64_t block_group_size);
  void ReadTorch(std::int64_t block_group_size);
  void ReadSafetensors(std::int64_t block_group_size);

  std::string path_;
  std::shared_ptr<const TorchFile> torch_;
  std::shared_ptr<const SafetensorsReader> safetensors_;
  std::map<std::string, NativeTensor> tensors_;
};

}  // namespace coat
