#include "convert/hf_weights.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/file_names.h"
#include "checkpoint/file_record.h"
#include "checkpoint/quoted.h"
#include "convert/hf_files.h"

namespace coat {

namespace {

using nlohmann::json;

/// The index's weight_map: the file of each tensor.
std::map<std::string, std::string> ReadWeightMap(const std::string& path) {
  const MappedFile file(path);
  const auto fail = [&](std::string_view what) { throw IoError(fmt::format("{}: {}", path, what)); };
  constexpr std::string_view kExpected = "expected a JSON object whose weight_map is an object from tensors to files";
  json index;
  try {
    index = ParseJson(file.text());
  } catch (const IoError& error) {
    fail(fmt::format("{}; {}", error.what(), kExpected));
  }
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) fail(kExpected);
  std::map<std::string, std::string> files;
  for (const auto& [tensor, value] : index["weight_map"].items()) {
    if (!value.is_string() || !IsPlainFileName(value.get_ref<const std::string&>())) {
      fail(fmt::format("weight_map: tensor {}: expected the name of a file in the same folder", Quoted(tensor)));
    }
    files[tensor] = value.get<std::string>();
  }
  return files;
}

}  // namespace

HfWeights::HfWeights(const std::string& folder) : folder_(folder) {
  const std::string single = fmt::format("{}/{}", folder, kHfModelFile);
  const std::string index = fmt::format("{}/{}", folder, kHfIndexFile);
  if (KindOf(single) != PathKind::kMissing) {
    path_ = single;
    AddFile(single);
  } else if (KindOf(index) != PathKind::kMissing) {
    path_ = index;
    AddShards();
  } else {
    throw IoError(fmt::format("{}: no weights; accepted: {} or {} (of other formats, save one as safetensors first)",
                              folder, kHfModelFile, kHfIndexFile));
  }
}

const SafetensorsReader* HfWeights::FileOf(std::string_view name) const {
  const auto found = where_.find(name);
  return found == where_.end() ? nullptr : found->second;
}

std::vector<std::string> HfWeights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : where_) names.push_back(name);
  return names;
}

void HfWeights::AddFile(const std::string& path) {
  const SafetensorsReader& file = files_.emplace(path, SafetensorsReader(path)).first->second;
  for (const TensorInfo& tensor : file.tensors()) {
    if (const auto [other, is_new] = where_.emplace(tensor.name, &file); !is_new) {
      throw IoError(
          fmt::format("{}: tensor {} is in {} too; expected once", path, Quoted(tensor.name), other->second->path()));
    }
  }
}

void HfWeights::AddShards() {
  const std::map<std::string, std::string> weight_map = ReadWeightMap(path_);
  for (const auto& [tensor, file] : weight_map) {
    const std::string path = fmt::format("{}/{}", folder_, file);
    if (!files_.contains(path)) AddFile(path);
  }
  for (const auto& [tensor, file] : weight_map) {
    const std::string path = fmt::format("{}/{}", folder_, file);
    if (files_.at(path).Contains(tensor)) continue;
    throw IoError(fmt::format("{}: no tensor {}; expected, as {} says", path, Quoted(tensor), path_));
  }
  for (const auto& [tensor, file] : where_) {
    if (weight_map.contains(tensor)) continue;
    throw IoError(fmt::format("{}: tensor {} is not in the weight_map of {}", file->path(), Quoted(tensor), path_));
  }
}

}  // namespace coat
