#pragma once
// COAT's two environment variables that end a run after its tenth step with a measurement.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "output/metrics.h"

namespace coat {

enum class Benchmark {
  kSpeed,   // SPEED_BENCH: tokens a second
  kMemory,  // MEMORY_BENCH: memory by what it is for
};

/// The steps from its start after which a benchmark ends a run.
inline constexpr std::int64_t kBenchmarkSteps = 10;

/// What SPEED_BENCH and MEMORY_BENCH ask for: "1", "true" and "True" switch on; "", "0", "false" and "False" off. With
/// both it is memory. `variable` reads the environment, null where a variable is not set. Throws UsageError for another
/// value.
std::optional<Benchmark> BenchmarkOf(const std::function<const char*(const char* name)>& variable);

/// What the environment of any rank asks for; memory before speed. All ranks call it together, and all throw what one
/// does.
std::optional<Benchmark> AgreedBenchmark(Communicator& ranks);

/// What a run with a benchmark says before its first step; `last_step` is the one that it ends after.
std::string Announce(Benchmark benchmark, std::int64_t last_step);

/// COAT's line: "Training Speed: 1234.5 token / s."; without a number, where nothing could be measured, it says so.
std::string DescribeSpeed(std::optional<double> tokens_per_second);

/// COAT's lines, in MB of 10^6 bytes: the peak of all tensors and `workspace_bytes`, then what is activations,
/// optimizer states, model and gradients. Weights as operands are the model's; token ids, losses and scratch memory are
/// counted with the activations. (COAT has its peak in 10^6 bytes and the rest in 2^20, and no gradients with one
/// micro-batch.)
std::vector<std::string> DescribeMemory(const MemoryPlan& plan, std::int64_t workspace_bytes);

/// What a run with a benchmark says at its end: DescribeSpeed or DescribeMemory. `last_step` is its last step's
/// metrics.
std::vector<std::string> DescribeBenchmark(Benchmark benchmark, const Metrics& last_step, const Engine& engine);

}  // namespace coat
