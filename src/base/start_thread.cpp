#include "base/start_thread.h"

#include "base/error.h"

namespace coat::detail {

void ThrowThreadError(const char* purpose, const std::system_error& error) {
  throw Error(
      fmt::format("a thread for {} could not be started: {}; this user, process or container may have no more threads, "
                  "or there is no memory for them: use fewer (--threads), end other programs, or raise the limit "
                  "(ulimit -u; pids of a container)",
                  purpose, error.code().message()));
}

}  // namespace coat::detail
