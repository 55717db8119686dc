#include "train/benchmark.h"

#include <array>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "comm/agreement.h"

namespace coat {

namespace {

bool IsOn(const char* name, const char* value) {
  const std::string_view text = value == nullptr ? "" : value;
  if (text == "1" || text == "true" || text == "True") return true;
  if (text.empty() || text == "0" || text == "false" || text == "False") return false;
  throw UsageError(fmt::format("the environment variable {} is `{}`; accepted: 1, true, 0, false", name, text));
}

}  // namespace

std::optional<Benchmark> BenchmarkOf(const std::function<const char*(const char* name)>& variable) {
  const bool memory = IsOn("MEMORY_BENCH", variable("MEMORY_BENCH"));
  const bool speed = IsOn("SPEED_BENCH", variable("SPEED_BENCH"));
  if (memory) return Benchmark::kMemory;
  if (speed) return Benchmark::kSpeed;
  return std::nullopt;
}

std::optional<Benchmark> AgreedBenchmark(Communicator& ranks) {
  const std::optional<Benchmark> own =
      MadeTogether(ranks, [] { return BenchmarkOf([](const char* name) { return std::getenv(name); }); });
  std::array<double, 2> wanted = {own == Benchmark::kMemory ? 1.0 : 0.0, own == Benchmark::kSpeed ? 1.0 : 0.0};
  ranks.AllReduce(wanted, Reduction::kMax);
  if (wanted[0] != 0.0) return Benchmark::kMemory;
  if (wanted[1] != 0.0) return Benchmark::kSpeed;
  return std::nullopt;
}

std::string Announce(Benchmark benchmark, std::int64_t last_step) {
  return fmt::format("{} is set: the run ends right after step {}, without a checkpoint of it",
                     benchmark == Benchmark::kSpeed ? "SPEED_BENCH" : "MEMORY_BENCH", last_step);
}

std::string DescribeSpeed(std::optional<double> tokens_per_second) {
  if (!tokens_per_second) return "Training Speed: not measured, because no step went before";
  return fmt::format("Training Speed: {:.1f} token / s.", *tokens_per_second);
}

std::vector<std::string> DescribeMemory(const MemoryPlan& plan, std::int64_t workspace_bytes) {
  const auto line = [](std::string_view what, std::int64_t bytes) {
    return fmt::format("{} Memory{}: {:.1f} MB", what, what == "Peak" ? " Usage" : "",
                       static_cast<double>(bytes) / 1e6);
  };
  return {line("Peak", plan.Total() + workspace_bytes),
          line("Activation", plan.Bytes("saved") + plan.Bytes("batch") + plan.Bytes("scratch")),
          line("Optimizer", plan.Bytes("moments") + plan.Bytes("metadata")),
          line("Model", plan.Bytes("masters") + plan.Bytes("weights")), line("Gradient", plan.Bytes("gradients"))};
}

std::vector<std::string> DescribeBenchmark(Benchmark benchmark, const Metrics& last_step, const Engine& engine) {
  if (benchmark == Benchmark::kMemory) return DescribeMemory(engine.Used(), engine.context().workspace_bytes());
  return {DescribeSpeed(last_step.Find("throughput/device/tokens_per_second"))};
}

}  // namespace coat
