#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "data/dataset.h"
#include "engine/engine.h"
#include "train/benchmark.h"

namespace coat {

/// What a run says of itself before it starts: recipe and device, parameters, memory, data; a line each.
std::vector<std::string> DescribeRun(const TrainConfig& config, std::string_view device, const Engine& engine,
                                     const MemMapDataset& dataset);

/// What a user may not expect of a run from `step` to `last_step`: that no step is left, and that its end is not saved.
/// `from_elsewhere`: it loads the checkpoint of another run.
std::vector<std::string> WarningsAtStart(const TrainConfig& config, std::int64_t step, std::int64_t last_step,
                                         std::optional<Benchmark> benchmark, bool from_elsewhere);

/// Why the first step takes long, if it does.
std::vector<std::string> DescribeFirstStep(const Engine& engine);

/// What a run takes from a GPU, after its first step, when all of it has been taken: how its matrix products were
/// chosen, and the memory by the driver's account. Nothing on the CPU.
std::vector<std::string> DescribeDeviceUse(const Engine& engine);

}  // namespace coat
