#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.h"

namespace coat {

/// The tensors of a Hugging Face directory: model.safetensors, or the shards that model.safetensors.index.json names.
/// The files are mapped, nothing is read but what is asked for.
class HfWeights {
 public:
  /// Throws IoError if there is neither file, one is damaged or truncated, or the index and the shards disagree.
  explicit HfWeights(const std::string& folder);

  /// The file that holds the tensor; null if none does.
  const SafetensorsReader* FileOf(std::string_view name) const;
  /// The file to name when a tensor is missing: the index, or the only one.
  const std::string& path() const { return path_; }
  std::vector<std::string> names() const;

 private:
  void AddFile(const std::string& path);
  void AddShards();

  std::string folder_;
  std::string path_;
  std::map<std::string, SafetensorsReader> files_;                      // by path
  std::map<std::string, const SafetensorsReader*, std::less<>> where_;  // by tensor
};

}  // namespace coat
