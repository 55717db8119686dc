#include "comm/launcher.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace coat {

namespace {

/// Slurm's numbers for steps that srun did not start: batch scripts, interactive shells, and others of its own.
constexpr std::int64_t kFirstSpecialStep = 0xfffffff0;

/// The value of a variable that is there: a number from `least` to `most`.
std::int64_t Number(const Environment& environment, const char* name, std::int64_t least, std::int64_t most) {
  const char* text = environment(name);
  if (text == nullptr) {
    throw CommError(fmt::format(
        "{} is missing in the environment; expected a number from {} to {}, as a launcher sets it", name, least, most));
  }
  std::int64_t number = -1;
  const char* end = text + std::strlen(text);
  const std::from_chars_result result = std::from_chars(text, end, number);
  if (result.ec != std::errc() || result.ptr != end || number < least || number > most) {
    throw CommError(
        fmt::format("{} is \"{}\" in the environment; expected a number from {} to {}, as a launcher sets it", name,
                    text, least, most));
  }
  return number;
}

Launch Read(const Environment& environment, const char* launcher, const char* ranks, const char* rank,
            const char* local_rank) {
  Launch launch;
  launch.launcher = fmt::format("{} ({})", launcher, ranks);
  launch.ranks = static_cast<int>(Number(environment, ranks, 1, std::numeric_limits<int>::max()));
  launch.rank = static_cast<int>(Number(environment, rank, 0, launch.ranks - 1));
  launch.local_rank = launch.ranks == 1 ? 0 : -1;
  if (environment(local_rank) != nullptr) {
    launch.local_rank = static_cast<int>(Number(environment, local_rank, 0, launch.ranks - 1));
  }
  return launch;
}

bool IsStepOfSrun(const Environment& environment) {
  if (environment("SLURM_STEP_ID") == nullptr || environment("SLURM_PROCID") == nullptr) return false;
  return Number(environment, "SLURM_STEP_ID", 0, std::numeric_limits<std::int64_t>::max()) < kFirstSpecialStep;
}

}  // namespace

Launch ReadLaunch(const Environment& environment) {
  if (environment("OMPI_COMM_WORLD_SIZE") != nullptr) {
    return Read(environment, "mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK");
  }
  if (environment("PMI_SIZE") != nullptr) {
    const bool is_slurm = environment("MPI_LOCALRANKID") == nullptr && environment("SLURM_LOCALID") != nullptr;
    return Read(environment, "mpirun", "PMI_SIZE", "PMI_RANK", is_slurm ? "SLURM_LOCALID" : "MPI_LOCALRANKID");
  }
  if (IsStepOfSrun(environment)) {
    // In a step SLURM_NTASKS may still be the allocation's.
    const bool has_own = environment("SLURM_STEP_NUM_TASKS") != nullptr;
    return Read(environment, "srun", has_own ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS", "SLURM_PROCID",
                "SLURM_LOCALID");
  }
  return {};
}

WaitLimit ReadWaitLimit(const Environment& environment) {
  constexpr const char* kVariable = "COAT_RANK_TIMEOUT";
  WaitLimit limit;
  const char* const text = environment(kVariable);
  if (text == nullptr) return limit;
  const char* const end = text + std::strlen(text);
  const std::from_chars_result result = std::from_chars(text, end, limit.end);
  if (result.ec != std::errc() || result.ptr != end || !std::isfinite(limit.end) || limit.end <= 0.0) {
    throw UsageError(
        fmt::format("{} is \"{}\" in the environment; accepted: the seconds that a rank waits for others, above 0",
                    kVariable, text));
  }
  limit.warning = std::min(limit.warning, limit.end / 2.0);
  return limit;
}

}  // namespace coat
