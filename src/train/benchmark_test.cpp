#include "train/benchmark.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/error_of.h"
#include "tests/support/process_ranks.h"

namespace coat {
namespace {

std::optional<Benchmark> With(const std::map<std::string, std::string>& environment) {
  return BenchmarkOf([&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(Benchmark, IsAskedForByTheEnvironment) {
  EXPECT_EQ(With({}), std::nullopt);
  for (const char* off : {"", "0", "false", "False"}) {
    EXPECT_EQ(With({{"SPEED_BENCH", off}, {"MEMORY_BENCH", off}}), std::nullopt) << off;
  }
  for (const char* on : {"1", "true", "True"}) {
    EXPECT_EQ(With({{"SPEED_BENCH", on}}), Benchmark::kSpeed) << on;
    EXPECT_EQ(With({{"MEMORY_BENCH", on}}), Benchmark::kMemory) << on;
    EXPECT_EQ(With({{"MEMORY_BENCH", on}, {"SPEED_BENCH", "1"}}), Benchmark::kMemory) << on;
  }
}

TEST(Benchmark, RefusesAnotherValue) {
  EXPECT_EQ(ErrorOf<UsageError>([] {
              With({{"SPEED_BENCH", "yes"}});
            }),
            "the environment variable SPEED_BENCH is `yes`; accepted: 1, true, 0, false");
}

TEST(Benchmark, OfAnyRankIsThatOfAll) {
  RunAsProcesses(3, 20, [](Communicator& ranks) {
    ::unsetenv("MEMORY_BENCH");
    ::unsetenv("SPEED_BENCH");
    EXPECT_EQ(AgreedBenchmark(ranks), std::nullopt);
    if (ranks.rank() == 2) ::setenv("SPEED_BENCH", "1", 1);
    EXPECT_EQ(AgreedBenchmark(ranks), Benchmark::kSpeed);
    if (ranks.rank() == 1) ::setenv("MEMORY_BENCH", "1", 1);
    EXPECT_EQ(AgreedBenchmark(ranks), Benchmark::kMemory);
    if (ranks.rank() == 0) ::setenv("SPEED_BENCH", "yes", 1);
    EXPECT_THROW(AgreedBenchmark(ranks), UsageError);
  });
}

TEST(Benchmark, SaysTheSpeedAsCoatDoes) {
  EXPECT_EQ(DescribeSpeed(1234.56), "Training Speed: 1234.6 token / s.");
  EXPECT_EQ(DescribeSpeed(std::nullopt), "Training Speed: not measured, because no step went before");
}

TEST(Benchmark, SplitsTheMemoryWithoutARest) {
  MemoryPlan plan;
  plan.categories = {{"masters", 40'000'000}, {"gradients", 30'000'000}, {"weights", 5'000'000}, {"moments", 7'000'000},
                     {"metadata", 100'000},   {"saved", 600'000},        {"batch", 50'000},      {"scratch", 250'000}};
  EXPECT_EQ(
      DescribeMemory(plan, 1'000'000),
      (std::vector<std::string>{"Peak Memory Usage: 84.0 MB", "Activation Memory: 0.9 MB", "Optimizer Memory: 7.1 MB",
                                "Model Memory: 45.0 MB", "Gradient Memory: 30.0 MB"}));
}

}  // namespace
}  // namespace coat
