#pragma once
// A model and its FP8 moments as ranks hold them, for the tests of checkpoints in parts: every byte follows from the
// tensor's name.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_tensors.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/noise.h"
#include "tests/support/part_bytes.h"

namespace coat {

inline constexpr const char* kExampleFile = "model.safetensors";

/// A tensor and the unit in which ranks share it; 0: every rank has it whole.
struct ExampleTensor {
  TensorInfo whole;
  std::int64_t unit = 128;
};

/// Odd sizes, tensors smaller than a unit, FP8 codes with the scales of groups of 16, one that no rank shares, one
/// without elements and one without axes.
inline std::vector<ExampleTensor> ExampleTensors() {
  const auto tensor = [](std::string name, std::string dtype, std::vector<std::int64_t> shape) {
    return TensorInfo{.name = std::move(name), .dtype = std::move(dtype), .shape = std::move(shape)};
  };
  return {{tensor("wte.weight", "F32", {37, 19})},
          {tensor("wte.weight.exp_avg", "F8_E4M3", {37, 19})},
          {tensor("wte.weight.exp_avg.absmax", "F32", {44}), 8},
          {tensor("wte.weight.exp_avg.exponent", "F32", {44}), 8},
          {tensor("norm.weight", "BF16", {5})},
          {tensor("wide.weight", "F32", {2, 3, 512})},
          {tensor("nothing", "F32", {0, 3})},
          {tensor("one", "F32", {})},
          {tensor("averages", "F32", {7}), 0}};
}

inline std::string ExampleTensorBytes(const TensorInfo& tensor, int variant = 0) {
  std::uint32_t seed = static_cast<std::uint32_t>(variant) + 1;
  for (const char letter : tensor.name) seed = seed * 31 + static_cast<std::uint32_t>(letter);
  return Noise(static_cast<std::size_t>(ElementsOf(tensor)) * *ElementBytes(tensor.dtype), seed);
}

/// What rank `shard` of `shards` has.
inline std::vector<StatePart> ExampleParts(int shard, int shards) {
  std::vector<StatePart> parts;
  for (const ExampleTensor& tensor : ExampleTensors()) {
    const std::int64_t elements = ElementsOf(tensor.whole);
    parts.push_back({tensor.whole, tensor.unit == 0 ? Part{.first = 0, .count = elements}
                                                    : PartOf(elements, tensor.unit, shard, shards)});
  }
  return parts;
}

/// The bytes of the parts of a rank, which has no others.
inline BytesOfTensor ExampleBytesOf(const std::vector<StatePart>& parts, int variant = 0) {
  std::vector<std::string> held;
  for (const StatePart& tensor : parts) {
    const std::size_t size = *ElementBytes(tensor.whole.dtype);
    held.push_back(ExampleTensorBytes(tensor.whole, variant)
                       .substr(static_cast<std::size_t>(tensor.part.first) * size,
                               static_cast<std::size_t>(tensor.part.count) * size));
  }
  return [parts, held](std::size_t index, Part part) {
    const std::size_t size = *ElementBytes(parts[index].whole.dtype);
    COAT_REQUIRE(part.first >= parts[index].part.first && part.end() <= parts[index].part.end(),
                 "elements that this rank has not");
    return std::as_bytes(std::span(held[index]))
        .subspan(static_cast<std::size_t>(part.first - parts[index].part.first) * size,
                 static_cast<std::size_t>(part.count) * size);
  };
}

/// One rank's share in saving a checkpoint of all `ranks`: rank r has the part r % shards.
inline void SaveParts(const std::string& folder, CheckpointName name, Communicator& ranks, int shards,
                      IfExists if_exists = IfExists::kRefuse, int variant = 0) {
  CheckpointWriter writer(folder, name, if_exists, ranks);
  const std::vector<StatePart> parts = ExampleParts(ranks.rank() % shards, shards);
  writer.AddTensors(kExampleFile, parts, ExampleBytesOf(parts, variant));
  writer.AddFile("notes.txt", "of rank " + std::to_string(ranks.rank()));
  TrainerState state;
  state.step = name.step;
  state.world_size = ranks.size();
  state.extra.updates = variant;
  writer.Commit(state, "run_name: parts\n");
}

/// Reads a checkpoint that SaveParts saved as `readers` ranks would, each its own part, checks that together they have
/// every byte, and returns its state.
inline TrainerState LoadParts(const std::string& path, int readers = 1) {
  const CheckpointReader reader(path);
  std::map<std::string, std::string> found;
  for (int rank = 0; rank < readers; ++rank) {
    const CheckpointTensors tensors(reader, kExampleFile);
    for (const ExampleTensor& tensor : ExampleTensors()) {
      const Part part = PartOf(ElementsOf(tensor.whole), 3, rank, readers);  // nobody saved in such units
      found[tensor.whole.name] += BytesOfPart(tensors, tensor.whole.name, part);
    }
  }
  const CheckpointTensors tensors(reader, kExampleFile);
  EXPECT_EQ(tensors.tensors().size(), ExampleTensors().size());
  for (const ExampleTensor& tensor : ExampleTensors()) {
    const auto variant = static_cast<int>(reader.state().extra.updates);
    EXPECT_EQ(found[tensor.whole.name], ExampleTensorBytes(tensor.whole, variant)) << tensor.whole.name;
    EXPECT_EQ(tensors.Tensor(tensor.whole.name).whole.shape, tensor.whole.shape);
    EXPECT_EQ(tensors.Tensor(tensor.whole.name).whole.dtype, tensor.whole.dtype);
  }
  EXPECT_EQ(reader.ReadFile("notes.txt"), "of rank 0");
  EXPECT_EQ(reader.ReadFile("config.yaml"), "run_name: parts\n");
  return reader.state();
}

}  // namespace coat
