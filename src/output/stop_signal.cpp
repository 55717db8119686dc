#include "output/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string_view>

#include "base/error.h"

namespace coat {

namespace {

// A handler has no argument of ours, so what it knows is global. A lock-free atomic is safe in handlers and threads.
std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);
std::atomic<bool> is_installed{false};
constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
std::array<struct sigaction, kSignals.size()> old_actions;

/// Calls only what POSIX allows in a handler: write and _exit.
extern "C" void RequestStop(int number) {
  int none = 0;
  if (first_signal.compare_exchange_strong(none, number) || number != SIGINT) return;
  constexpr std::string_view kMessage = "\ncoat: interrupted twice; ended at once, with nothing more saved\n";
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
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &old_actions[i]);
    const bool stays_ignored = kSignals[i] == SIGHUP && old_actions[i].sa_handler == SIG_IGN;
    if (!stays_ignored) ::sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignal::~StopSignal() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &old_actions[i], nullptr);
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
