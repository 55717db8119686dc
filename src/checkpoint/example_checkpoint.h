#pragma once
// A small checkpoint whose every byte follows from its step and a variant, for the tests that save and load.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/noise.h"

namespace coat {

inline std::vector<std::byte> ExampleBytes(std::int64_t step, int variant, std::size_t size) {
  const std::string noise = Noise(size, static_cast<std::uint32_t>(step * 97 + variant * 31 + 1));
  const std::span<const std::byte> bytes = std::as_bytes(std::span(noise));
  return {bytes.begin(), bytes.end()};
}

inline constexpr std::int64_t kExampleElements = 700;
inline constexpr std::size_t kExamplePieceBytes = 1000;

/// Saves {folder}/step{step} with one 2800-byte tensor, written in pieces.
inline void SaveExample(const std::string& folder, std::int64_t step, int variant, IfExists if_exists) {
  CheckpointWriter writer(folder, {.step = step}, if_exists);
  writer.AddSafetensors("model.safetensors", {{.name = "w", .dtype = "F32", .shape = {kExampleElements}}}, {},
                        [&](SafetensorsWriter& file) {
                          const std::vector<std::byte> bytes = ExampleBytes(step, variant, 4 * kExampleElements);
                          std::span<const std::byte> rest = bytes;
                          while (!rest.empty()) {
                            const auto piece = rest.first(std::min(rest.size(), kExamplePieceBytes));
                            file.Write("w", piece);
                            rest = rest.subspan(piece.size());
                          }
                        });
  TrainerState state;
  state.step = step;
  state.extra["variant"] = variant;
  writer.Commit(state, "run_name: step " + std::to_string(step) + "\n");
}

/// Loads a checkpoint that SaveExample saved, checks every byte, and returns its state.
inline TrainerState LoadExample(const std::string& path) {
  const CheckpointReader reader(path);
  TrainerState state = reader.state();
  const auto variant = static_cast<int>(state.extra.at("variant"));
  const SafetensorsReader model = reader.OpenSafetensors("model.safetensors");
  const std::span<const std::byte> bytes = model.Bytes("w", "F32", {kExampleElements});
  EXPECT_EQ(std::vector<std::byte>(bytes.begin(), bytes.end()),
            ExampleBytes(state.step, variant, 4 * kExampleElements));
  EXPECT_EQ(reader.ReadFile("config.yaml"), "run_name: step " + std::to_string(state.step) + "\n");
  return state;
}

}  // namespace coat
