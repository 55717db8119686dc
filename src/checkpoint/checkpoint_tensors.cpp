#include "checkpoint/checkpoint_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "checkpoint/quoted.h"

namespace coat {

CheckpointTensors::CheckpointTensors(const CheckpointReader& reader, std::string_view file)
    : open_([reader](const std::string& name) { return reader.OpenSafetensors(name); }) {
  in_parts_ = !reader.Contains(std::string(file)) && reader.Contains(IndexFileName(file));
  path_ = fmt::format("{}/{}", reader.path(), in_parts_ ? IndexFileName(file) : file);
  if (in_parts_) {
    index_ = ParsePartIndex(reader.ReadFile(IndexFileName(file)), path_);
    files_.resize(index_.files.size());
  } else {
    index_.files.emplace_back(file);
    files_.emplace_back(open_(index_.files[0]));
    for (const TensorInfo& tensor : files_[0]->tensors()) {
      PartedTensor& parted = index_.tensors.emplace_back(PartedTensor{tensor, {}});
      if (const std::int64_t elements = ElementsOf(tensor); elements > 0) {
        parted.parts.push_back({.file = 0, .part = {.first = 0, .count = elements}});
      }
    }
  }
  IndexNames();
}

CheckpointTensors::CheckpointTensors(PartIndex index, std::string path,
                                     std::function<SafetensorsReader(const std::string&)> open)
    : index_(std::move(index)), path_(std::move(path)), open_(std::move(open)) {
  files_.resize(index_.files.size());
  IndexNames();
}

bool CheckpointTensors::Has(const CheckpointReader& reader, std::string_view file) {
  return reader.Contains(std::string(file)) || reader.Contains(IndexFileName(file));
}

const PartedTensor& CheckpointTensors::Tensor(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) throw IoError(fmt::format("{}: no tensor {}", path_, Quoted(name)));
  return index_.tensors[found->second];
}

std::span<const std::byte> CheckpointTensors::Bytes(const PartedTensor& tensor, const TensorPart& part) const {
  const SafetensorsReader& file = FileOf(part.file);
  if (!in_parts_) return file.Bytes(tensor.whole.name);
  return file.Bytes(tensor.whole.name, tensor.whole.dtype, {part.part.count});
}

void CheckpointTensors::ForEachRun(std::string_view name, Part part,
                                   const std::function<void(Part, std::span<const std::byte>)>& visit) const {
  const PartedTensor& tensor = Tensor(name);
  COAT_REQUIRE(part.first >= 0 && part.count >= 0 && part.count <= ElementsOf(tensor.whole) - part.first,
               "{}: tensor {} is {}; elements {} to {} were asked for", path_, Quoted(name),
               ShapeText(tensor.whole.shape), part.first, part.end());
  const auto size = static_cast<std::int64_t>(*ElementBytes(tensor.whole.dtype));
  auto at = std::partition_point(tensor.parts.begin(), tensor.parts.end(),
                                 [&](const TensorPart& other) { return other.part.end() <= part.first; });
  for (; at != tensor.parts.end() && at->part.first < part.end(); ++at) {
    const std::int64_t first = std::max(part.first, at->part.first);
    const Part run = {.first = first, .count = std::min(part.end(), at->part.end()) - first};
    if (run.count == 0) continue;
    visit(run, Bytes(tensor, *at)
                   .subspan(static_cast<std::size_t>((first - at->part.first) * size),
                            static_cast<std::size_t>(run.count * size)));
  }
}

void CheckpointTensors::IndexNames() {
  for (std::size_t i = 0; i < index_.tensors.size(); ++i) places_.emplace(index_.tensors[i].whole.name, i);
}

const SafetensorsReader& CheckpointTensors::FileOf(std::size_t number) const {
  std::optional<SafetensorsReader>& file = files_[number];
  if (file) return *file;
  SafetensorsReader opened = open_(index_.files[number]);
  std::size_t parts = 0;
  for (const PartedTensor& tensor : index_.tensors) {
    for (const TensorPart& part : tensor.parts) {
      if (part.file != number) continue;
      const TensorInfo& found = opened.Info(tensor.whole.name);
      const std::vector<std::int64_t> shape = {part.part.count};
      if (found.dtype != tensor.whole.dtype || found.shape != shape) {
        throw IoError(fmt::format("{}: tensor {} is {} {}; expected {} {}, as {} says", opened.path(),
                                  Quoted(found.name), found.dtype, ShapeText(found.shape), tensor.whole.dtype,
                                  ShapeText(shape), path_));
      }
      ++parts;
    }
  }
  if (opened.tensors().size() != parts) {
    throw IoError(
        fmt::format("{}: holds {} tensors; {} says {}", opened.path(), opened.tensors().size(), path_, parts));
  }
  file.emplace(std::move(opened));
  return *file;
}

FileRecord WriteWhole(const CheckpointTensors& tensors, const std::string& path,
                      const std::function<void(std::int64_t)>& written) {
  std::vector<TensorInfo> infos;
  for (const PartedTensor& tensor : tensors.tensors()) infos.push_back(tensor.whole);
  SafetensorsWriter writer(path, std::move(infos), {{"format", "pt"}});
  for (const TensorInfo& info : writer.tensors()) {
    const PartedTensor& tensor = tensors.Tensor(info.name);
    for (const TensorPart& part : tensor.parts) {
      writer.Write(info.name, tensors.Bytes(tensor, part));
      written(part.part.count);
    }
  }
  return writer.Finish();
}

}  // namespace coat
