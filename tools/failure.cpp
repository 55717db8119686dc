#include "tools/failure.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <new>
#include <thread>

#include "base/error.h"
#include "tools/commands.h"

namespace coat {

namespace {

constexpr std::chrono::milliseconds kTurnOfRankZero(1500);

}  // namespace

Failure FailureOf(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {kExitFailure, "out of memory; `coat plan FILE` prints what a run needs"};
  }
  const bool is_usage =
      dynamic_cast<const UsageError*>(&error) != nullptr || dynamic_cast<const ConfigError*>(&error) != nullptr;
  return {is_usage ? kExitUsage : kExitFailure, error.what()};
}

void PrintFailure(const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "coat: error: {}\n", message);
}

void PrintFailureOfRank(int rank, const std::string& message) {
  if (rank != 0) std::this_thread::sleep_for(kTurnOfRankZero);
  // Errors of what connects the ranks begin with the rank already.
  PrintFailure(message.starts_with("rank ") ? message : fmt::format("rank {}: {}", rank, message));
}

}  // namespace coat
