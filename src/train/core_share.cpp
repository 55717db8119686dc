#include "train/core_share.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace coat {

int CoreShare(Communicator& ranks) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  std::string own = host.data();
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &cores)) own += " " + std::to_string(core);
  }
  const std::vector<std::string> all = ranks.AllGatherText(own);
  const auto sharing = static_cast<int>(std::count(all.begin(), all.end(), own));
  return std::max(1, CPU_COUNT(&cores) / sharing);
}

}  // namespace coat
