#include "tools/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <new>
#include <thread>

#include "base/error.h"
#include "base/standard_streams.h"
#include "comm/agreement.h"
#include "tools/commands.h"

namespace coat {

namespace {

// The first to print ends the others.
constexpr std::chrono::milliseconds kTurnOfRankZero(1500);
constexpr std::chrono::milliseconds kTurnOfEach(300);
constexpr int kMostTurns = 20;

}  // namespace

Failure FailureOf(const std::exception& exception) {
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) {
    return {.exit_code = kExitFailure, .message = kOutOfMemory};
  }
  const auto* const error = dynamic_cast<const Error*>(&exception);
  const bool is_usage =
      dynamic_cast<const UsageError*>(error) != nullptr || dynamic_cast<const ConfigError*>(error) != nullptr;
  return {.exit_code = is_usage ? kExitUsage : kExitFailure,
          .message = exception.what(),
          .is_of_all_ranks = error != nullptr && error->is_of_all_ranks};
}

void PrintFailure(const Failure& failure, int rank, int ranks) {
  if (rank != 0) std::this_thread::sleep_for(kTurnOfRankZero + kTurnOfEach * std::min(rank - 1, kMostTurns));
  if (rank != 0 && failure.is_of_all_ranks) return;
  // What connects the ranks says itself which one it is.
  const bool has_rank = ranks == 1 || failure.is_of_all_ranks || failure.message.starts_with("rank ");
  std::fflush(stdout);
  WriteToStandardError(
      fmt::format("coat: error: {}{}\n", has_rank ? "" : fmt::format("rank {} of {}: ", rank, ranks), failure.message));
}

}  // namespace coat
