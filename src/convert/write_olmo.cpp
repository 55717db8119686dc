// A model as an unsharded checkpoint of OLMo.

#include "config/tree.h"
#include "config/yaml_text.h"
#include "convert/native_files.h"
#include "convert/output_folder.h"
#include "convert/progress.h"
#include "convert/torch_writer.h"
#include "convert/write_model.h"

namespace coat {

namespace {

/// OLMo's loader refuses keys that it does not know, so only what describes the model is written.
std::string ConfigText(const TrainConfig& config) {
  Node node = Node::Mapping();
  node.entries.push_back({"run_name", ToNode(config.run_name)});
  node.entries.push_back({"seed", ToNode(config.seed)});
  node.entries.push_back({"precision", ToNode(config.precision)});
  node.entries.push_back({"model", ToNode(config.model)});
  return YamlText(node);
}

}  // namespace

ConversionResult WriteOlmo(const Model& model, const std::string& to, const WriteOptions& options) {
  Progress progress(model, options);
  OutputFolder folder(to, options.if_exists);
  std::vector<StateDictEntry> entries;
  for (const ModelTensor& tensor : model.tensors) {
    entries.push_back({.name = FromOlmoName(tensor.name, options.names), .shape = tensor.shape});
  }
  TorchWriter writer(folder.FilePath(kNativeModelFile), std::move(entries), options.type);
  for (const ModelTensor& tensor : model.tensors) {
    writer.Next();
    CopyValues(tensor, 0, tensor.elements(), options.type,
               progress.Counted(options.type, [&](std::span<const std::byte> bytes) { writer.Write(bytes); }));
  }
  writer.Finish();
  folder.WriteText(kNativeConfigFile, ConfigText(model.config));
  options.progress(progress.total(), progress.total());  // who wants to stop can still do so
  folder.Commit();
  return {.tensors = static_cast<std::int64_t>(model.tensors.size()), .parameters = progress.total(), .files = 1};
}

}  // namespace coat
