#include "engine/rank_machines.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/agreement.h"
#include "comm/packed.h"

namespace coat {

namespace {

std::string HostName() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace

int MachineCount(Communicator& ranks) {
  const std::vector<std::string> names = ranks.AllGatherText(HostName());
  return static_cast<int>(std::set<std::string>(names.begin(), names.end()).size());
}

int CoreShare(Communicator& ranks) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof(cores), &cores) != 0) CPU_SET(0, &cores);
  std::string own = HostName();
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &cores)) own += " " + std::to_string(core);
  }
  const std::vector<std::string> all = ranks.AllGatherText(own);
  const auto sharing = static_cast<int>(std::count(all.begin(), all.end(), own));
  return std::max(1, CPU_COUNT(&cores) / sharing);
}

MachineSum SumOnMachine(Communicator& ranks, std::int64_t own) {
  const std::string own_host = HostName();
  MachineSum sum = {.ranks = 0};
  for (const std::string& text : ranks.AllGatherText(Pack(own_host, own))) {
    const auto [host, value] = Unpack<std::string, std::int64_t>(text);
    if (host != own_host) continue;
    sum.ranks += 1;
    sum.total += value;
  }
  return sum;
}

void RequireOwnDevices(Communicator& ranks, const std::string& id) {
  const std::vector<std::string> all = ranks.AllGatherText(HostName() + " " + id);
  for (auto rank = all.begin(); rank != all.end(); ++rank) {
    const auto other = std::find(rank + 1, all.end(), *rank);
    if (other == all.end()) continue;
    throw OfAllRanks(ConfigError(
        fmt::format("ranks {} and {} of {} have the same GPU; accepted: a GPU for each rank of a machine (start fewer, "
                    "or look at CUDA_VISIBLE_DEVICES), or --device=cpu",
                    rank - all.begin(), other - all.begin(), all.size())));
  }
}

}  // namespace coat
