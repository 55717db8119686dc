// A Hugging Face directory as a model to convert.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/utf8.h"
#include "checkpoint/quoted.h"
#include "convert/check_model.h"
#include "convert/hf_config.h"
#include "convert/hf_files.h"
#include "convert/hf_tensors.h"
#include "convert/hf_weights.h"
#include "convert/model.h"

namespace coat {

namespace {

using Shape = std::vector<std::int64_t>;

/// The tensor `name`, which must have this shape, as `config` says.
TensorPiece Find(const HfWeights& weights, const std::string& name, const Shape& shape, const std::string& config) {
  const SafetensorsReader* const file = weights.FileOf(name);
  if (file == nullptr) {
    throw IoError(fmt::format("{}: no tensor {}; expected {}, as {} says{}", weights.path(), Quoted(name),
                              ShapeText(shape), config,
                              name == kHfHead ? " (tie_word_embeddings: true is for a model without one)" : ""));
  }
  const TensorInfo& info = file->Info(name);
  const std::optional<FloatType> type = ParseSafetensorsName(info.dtype);
  const std::string place = fmt::format("{}: tensor {}", file->path(), Quoted(name));
  if (!type) throw IoError(fmt::format("{} is {}; accepted: F32, BF16, F16", place, info.dtype));
  if (info.shape != shape) {
    throw IoError(
        fmt::format("{} is {}; expected {}, as {} says", place, ShapeText(info.shape), ShapeText(shape), config));
  }
  return {.type = *type,
          .elements = static_cast<std::int64_t>(info.size_bytes() / SizeOf(*type)),
          .place = place,
          .bytes = [file, name] { return file->Bytes(name); }};
}

/// Whether a tensor that no parameter is made of may be passed over. Throws if a tied model's head is not its
/// embedding.
bool IsRedundant(const HfWeights& weights, const std::string& name, const ModelConfig& model,
                 const std::string& config) {
  if (name.starts_with("model.layers.") && name.ends_with(".self_attn.rotary_emb.inv_freq")) return true;
  if (name != kHfHead) return false;
  const Shape shape = {model.EmbeddingRows(), model.d_model};
  const TensorPiece head = Find(weights, name, shape, config);
  const TensorPiece embedding = Find(weights, kHfEmbedding, shape, config);
  if (head.type == embedding.type && std::ranges::equal(head.bytes(), embedding.bytes())) return true;
  throw IoError(
      fmt::format("{} differs from {}, although tie_word_embeddings is true in {}; set it to false to have "
                  "both",
                  head.place, Quoted(kHfEmbedding), config));
}

/// The folder's name, where a configuration can hold it.
std::string RunNameOf(const std::string& folder) {
  std::string name = std::filesystem::path(folder + "/").parent_path().filename().string();
  return name.empty() || FindInvalidUtf8(name) != name.size() ? "hf" : name;
}

}  // namespace

Model OpenHf(const std::string& folder) {
  Model model;
  model.config_path = fmt::format("{}/{}", folder, kHfConfigFile);
  model.config.model = ReadHfConfig(model.config_path);
  model.hf = ReadHfSettings(folder, model.config.model);
  model.config.sources = HfSources(model.config_path);
  model.config.run_name = RunNameOf(folder);
  model.config.precision = Precision::kAmpBf16;
  CheckModelConfig(model.config);
  const auto weights = std::make_shared<const HfWeights>(folder);
  model.files = weights;
  const auto tensors = static_cast<std::int64_t>(weights->names().size());
  if (model.config.model.n_layers > tensors) {
    throw IoError(fmt::format("{}: num_hidden_layers is {}; the files have {} tensors in all", model.config_path,
                              model.config.model.n_layers, tensors));
  }
  model.tensors = TensorsOf(model.config.model);
  std::set<std::string> wanted;
  for (ModelTensor& tensor : model.tensors) {
    for (const HfPart& part : HfPartsOf(tensor.name, model.config.model)) {
      Shape shape = tensor.shape;
      shape[0] = part.rows;
      tensor.pieces.push_back(Find(*weights, part.name, shape, model.config_path));
      wanted.insert(part.name);
    }
  }
  for (const std::string& name : weights->names()) {
    if (wanted.contains(name) || IsRedundant(*weights, name, model.config.model, model.config_path)) continue;
    throw IoError(
        fmt::format("{}: tensor {} is no part of the model that {} describes; linear layers have no biases, "
                    "and OLMo 1's norms no weights",
                    weights->FileOf(name)->path(), Quoted(name), model.config_path));
  }
  return model;
}

}  // namespace coat
