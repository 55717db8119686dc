#pragma once
// Where the parts of tensors lie that several ranks saved: the file model.parts.json beside
// model-00001-of-00004.safetensors and its like (docs/checkpoints.md).

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_info.h"
#include "comm/partition.h"

namespace coat {

/// Elements of a tensor that one of the files holds, under the tensor's name and as [count].
struct TensorPart {
  std::size_t file = 0;  // which of PartIndex::files
  Part part;

  bool operator==(const TensorPart&) const = default;
};

/// A tensor and its parts, in their order: together they are the tensor, each element once.
struct PartedTensor {
  TensorInfo whole;  // `begin` and `end` mean nothing
  std::vector<TensorPart> parts;
};

struct PartIndex {
  std::vector<std::string> files;
  std::vector<PartedTensor> tensors;
};

/// The names that belong to the tensors of `file`, "model.safetensors": of rank 0 of 4
/// "model-00001-of-00004.safetensors", and "model.parts.json".
std::string PartFileName(std::string_view file, int rank, int ranks);
std::string IndexFileName(std::string_view file);

/// Number of elements of a tensor whose shape has been checked.
std::int64_t ElementsOf(const TensorInfo& tensor);

/// The text of an index: JSON, a line a tensor.
std::string FormatPartIndex(const PartIndex& index);

/// Reads and checks an index: JSON of this shape and no other keys, names of files in the same folder, known dtypes,
/// sizes that are not negative and do not overflow, no name twice, and parts that cover each tensor exactly once, each
/// in a file of its own. Throws IoError with `path`, the tensor, what was found and what is accepted.
PartIndex ParsePartIndex(std::string_view text, const std::string& path);

}  // namespace coat
