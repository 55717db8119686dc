#pragma once

#include <memory>

#include "comm/communicator.h"

namespace coat {

/// Joins the ranks with which a launcher (mpirun, srun) started this process; without a launcher, or with one rank, the
/// communicator of one rank, and MPI is not even loaded.
///
/// MPI is in a module beside the program (coat_mpi.so), so that the program runs where there is no MPI. Throws
/// CommError, naming what to install or how to build, when a launcher started more than one rank and the module or its
/// MPI is not there.
std::unique_ptr<Communicator> JoinRanks();

/// The rank that the launcher gave this process, for messages of before it has joined; 0 without a launcher.
int LaunchedRank();

/// This process's number among those of the same machine, by the launcher: which of its GPUs to take. 0 without one.
int LocalRank();

}  // namespace coat
