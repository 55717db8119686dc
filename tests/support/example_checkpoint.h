#pragma once
// A small checkpoint whose every byte follows from its step and a variant, which its state has as the number of
// updates, for the tests that save and load.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/noise.h"
#include "tests/support/one_rank.h"
#include "tests/support/whole_tensors.h"

namespace coat {

inline std::vector<std::byte> ExampleBytes(std::int64_t step, int variant, std::size_t size) {
  const std::string noise = Noise(size, static_cast<std::uint32_t>(step * 97 + variant * 31 + 1));
  const std::span<const std::byte> bytes = std::as_bytes(std::span(noise));
  return {bytes.begin(), bytes.end()};
}

/// Several, so that a save has several writes.
inline std::vector<StatePart> WeightsOfExample() {
  return WholeTensors({{.name = "a", .dtype = "F32", .shape = {250}},
                       {.name = "b", .dtype = "F32", .shape = {249}},
                       {.name = "c", .dtype = "F32", .shape = {201}}});
}

inline std::size_t SizeOfWeight(const StatePart& tensor) {
  return 4 * static_cast<std::size_t>(tensor.part.count);
}

/// Saves {folder}/step{step} with the tensors of 2800 bytes in all.
inline void SaveExample(const std::string& folder, std::int64_t step, int variant, IfExists if_exists) {
  CheckpointWriter writer(folder, {.step = step}, if_exists, OneRank());
  const std::vector<StatePart> tensors = WeightsOfExample();
  std::vector<std::byte> held;
  writer.AddTensors("model.safetensors", tensors, [&](std::size_t index, Part) -> std::span<const std::byte> {
    held = ExampleBytes(step, variant + static_cast<int>(index), SizeOfWeight(tensors[index]));
    return held;
  });
  TrainerState state;
  state.step = step;
  state.extra.updates = variant;
  writer.Commit(state, "run_name: step " + std::to_string(step) + "\n");
}

/// Loads a checkpoint that SaveExample saved, checks every byte, and returns its state.
inline TrainerState LoadExample(const std::string& path) {
  const CheckpointReader reader(path);
  TrainerState state = reader.state();
  const auto variant = static_cast<int>(state.extra.updates);
  const SafetensorsReader model = reader.OpenSafetensors("model.safetensors");
  int index = 0;
  for (const StatePart& tensor : WeightsOfExample()) {
    const std::span<const std::byte> bytes = model.Bytes(tensor.whole.name, "F32", tensor.whole.shape);
    EXPECT_EQ(std::vector<std::byte>(bytes.begin(), bytes.end()),
              ExampleBytes(state.step, variant + index++, SizeOfWeight(tensor)));
  }
  EXPECT_EQ(reader.ReadFile("config.yaml"), "run_name: step " + std::to_string(state.step) + "\n");
  return state;
}

}  // namespace coat
