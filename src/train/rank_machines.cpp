#include "train/rank_machines.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

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

}  // namespace coat
