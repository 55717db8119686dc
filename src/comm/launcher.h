#pragma once

#include <functional>
#include <string>

#include "comm/wait_limit.h"

namespace coat {

/// What a launcher has told the process that it started.
struct Launch {
  std::string launcher;  // for messages: "mpirun (OMPI_COMM_WORLD_SIZE)"; empty: there is none
  int ranks = 1;
  int rank = 0;
  int local_rank = 0;  // among those of the same machine; -1: the launcher does not say
};

/// Finds a variable of the environment; null where there is none.
using Environment = std::function<const char*(const char* name)>;

/// Reads, in this order, what Open MPI's mpirun sets (OMPI_COMM_WORLD_*), what MPICH's and Intel MPI's set (PMI_SIZE,
/// PMI_RANK, MPI_LOCALRANKID), and what Slurm's srun sets (SLURM_*). The shell of a Slurm allocation, salloc's or a
/// batch script's, is one process whatever the number of tasks in its environment.
///
/// Throws CommError with the variable and its value when one is missing, is no number, or a rank is not below the
/// number of ranks.
Launch ReadLaunch(const Environment& environment);

/// How long a rank waits for others: the seconds of COAT_RANK_TIMEOUT, or as WaitLimit has it. The warning comes after
/// half of that at the latest. Throws UsageError unless the variable is a number above 0.
WaitLimit ReadWaitLimit(const Environment& environment);

}  // namespace coat
