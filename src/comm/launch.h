#pragma once

#include <memory>

#include "comm/communicator.h"
#include "comm/wait_limit.h"

namespace coat {

/// Joins the ranks with which a launcher (mpirun, srun) started this process; without a launcher, or with one rank, the
/// communicator of one rank, and MPI is not even loaded.
///
/// MPI is in a module beside the program (coat_mpi.so, or the file that COAT_MPI_MODULE names), so that the program
/// runs where there is no MPI. It is used by the thread that called this, and no other. It ends, waiting for the other
/// ranks, when the communicator is destroyed; after an error, or while an exception is on its way, it does not, and the
/// launcher ends the other ranks when this process ends. Call Abort to end them at once.
///
/// A rank that waits for others for longer than COAT_RANK_TIMEOUT seconds (comm/launcher.h), because they neither come
/// nor end, throws CommError; before that one of those that wait says it on standard error.
///
/// Throws UsageError for a COAT_RANK_TIMEOUT that is none; CommError: when a launcher started more than one rank and
/// the module or its MPI is not there, with what to install or how to build; when the launcher and MPI count the ranks
/// differently; when called a second time.
std::unique_ptr<Communicator> JoinRanks();

/// How long this process waits for other ranks, by its environment (ReadWaitLimit).
WaitLimit LaunchedWaitLimit();

/// How many ranks a launcher has started; 1 without one, and where what it says makes no sense, which JoinRanks
/// reports.
int LaunchedRanks();

/// The rank that the launcher gave this process, for messages of before it has joined; 0 without a launcher, and where
/// what it says makes no sense, which JoinRanks reports.
int LaunchedRank();

/// This process's number among those of the same machine, by the launcher: which of its GPUs to take. 0 without one.
/// Throws CommError when the launcher does not say.
int LocalRank();

}  // namespace coat
