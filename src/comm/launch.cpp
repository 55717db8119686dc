#include "comm/launch.h"

#include <dlfcn.h>
#include <fmt/core.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/error.h"
#include "comm/launcher.h"
#include "comm/ranks.h"
#include "comm/solo.h"

namespace coat {

namespace {

constexpr const char* kModule = "coat_mpi.so";
constexpr const char* kModuleVariable = "COAT_MPI_MODULE";

Launch ReadThisLaunch() {
  return ReadLaunch([](const char* name) { return std::getenv(name); });
}

Launch LaunchOrNone() {
  try {
    return ReadThisLaunch();
  } catch (const CommError&) {
    return {};
  }
}

/// The folder of this program, with a slash.
std::string FolderOfProgram() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof(path));
  const std::string program(path, length < 0 ? 0 : static_cast<std::size_t>(length));
  return program.substr(0, program.rfind('/') + 1);
}

std::string ModulePath() {
  const char* path = std::getenv(kModuleVariable);
  return path == nullptr ? FolderOfProgram() + kModule : path;
}

/// Loads the module and starts its MPI.
std::unique_ptr<Transport> StartMpi(const Launch& launch) {
  const WaitLimit limit = LaunchedWaitLimit();
  const std::string path = ModulePath();
  const std::string started = fmt::format("{} has started {} ranks", launch.launcher, launch.ranks);
  if (::access(path.c_str(), F_OK) != 0) {
    throw CommError(fmt::format(
        "{}, and the module that connects them is not there: {}. It is built beside coat where there is MPI (on Debian "
        "libopenmpi-dev and openmpi-bin; cmake -DCOAT_MPI=ON); {} in the environment names another place",
        started, path, kModuleVariable));
  }
  // RTLD_GLOBAL: an MPI loads parts of its own, which may look for its functions there. It is never unloaded: MPI
  // starts once in a process.
  void* const module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr) {
    throw CommError(fmt::format(
        "{}, and the module that connects them cannot be loaded: {}. Install the MPI that coat was built with (on "
        "Debian openmpi-bin), or build coat again where its MPI is",
        started, ::dlerror()));
  }
  using Start = Transport*(int, WaitLimit);
  auto* const start = reinterpret_cast<Start*>(::dlsym(module, "CoatStartMpi"));
  std::unique_ptr<Transport> transport(start == nullptr ? nullptr : start(Transport::kVersion, limit));
  if (!transport) {
    throw CommError(fmt::format("{}, and {} is not of this version of coat: build both together", started, path));
  }
  return transport;
}

}  // namespace

std::unique_ptr<Communicator> JoinRanks() {
  const Launch launch = ReadThisLaunch();
  if (launch.ranks == 1) return MakeSolo();
  std::unique_ptr<Transport> transport = StartMpi(launch);
  if (transport->size() != launch.ranks || transport->rank() != launch.rank) {
    throw CommError(
        fmt::format("{} says rank {} of {}, and MPI says rank {} of {}: the launcher is not of the MPI that coat was "
                    "built with. Use "
                    "that MPI's mpirun; with srun, the --mpi=... that it needs (srun --mpi=list), such as pmix",
                    launch.launcher, launch.rank, launch.ranks, transport->rank(), transport->size()));
  }
  return MakeRanks(std::move(transport));
}

WaitLimit LaunchedWaitLimit() {
  return ReadWaitLimit([](const char* name) { return std::getenv(name); });
}

int LaunchedRanks() {
  return LaunchOrNone().ranks;
}

int LaunchedRank() {
  return LaunchOrNone().rank;
}

int LocalRank() {
  const Launch launch = ReadThisLaunch();
  if (launch.local_rank < 0) {
    throw CommError(fmt::format(
        "{} does not say which of the ranks of this machine this one is: it sets neither MPI_LOCALRANKID nor "
        "SLURM_LOCALID",
        launch.launcher));
  }
  return launch.local_rank;
}

}  // namespace coat
