#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "data/dataset.h"
#include "engine/engine.h"

namespace coat {

/// What a run says of itself before it starts: recipe and device, parameters, memory, data; a line each.
std::vector<std::string> DescribeRun(const TrainConfig& config, std::string_view device, const Engine& engine,
                                     const MemMapDataset& dataset);

/// What a run takes from a GPU, after its first step, when all of it has been taken: how its matrix products were
/// chosen, and the memory by the driver's account. Nothing on the CPU.
std::vector<std::string> DescribeDeviceUse(const Engine& engine);

}  // namespace coat
