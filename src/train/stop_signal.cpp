#include "train/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string_view>

#include "base/error.h"

namespace coat {

namespace {

// A handler has no argument of ours, so what it knows is global. A lock-free atomic is safe in handlers and threads.
std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);
std::atomic<bool> is_installed{false};
struct sigaction old_interrupt, old_terminate;

/// Calls only what POSIX allows in a handler: write and _exit.
extern "C" void RequestStop(int number) {
  int none = 0;
  if (first_signal.compare_exchange_strong(none, number) || number != SIGINT) return;
  constexpr std::string_view kMessage = "\ncoat: interrupted twice; nothing saved since the last checkpoint\n";
  [[maybe_unused]] const ssize_t count = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
  ::_exit(kExitInterrupted);
}

}  // namespace

StopSignal::StopSignal() {
  COAT_REQUIRE(!is_installed.exchange(true), "StopSignal: there is one already");
  first_signal = 0;
  struct sigaction action = {};
  action.sa_handler = RequestStop;
  action.sa_flags = SA_RESTART;  // a read or write under way goes on; the run looks at requested() between steps
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &old_interrupt);
  ::sigaction(SIGTERM, &action, &old_terminate);
}

StopSignal::~StopSignal() {
  ::sigaction(SIGINT, &old_interrupt, nullptr);
  ::sigaction(SIGTERM, &old_terminate, nullptr);
  is_installed = false;
}

int StopSignal::number() const {
  return first_signal;
}

void IgnoreWriteSignals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace coat
