#pragma once
// Signals that ask a run to stop, and those that must not end it.

namespace coat {

/// While it lives, these ask the run to stop instead of ending it: it finishes the step, saves and leaves. SIGINT and
/// SIGTERM; SIGUSR1 and SIGUSR2, which batch systems send before time is up and mpirun passes on to all ranks; SIGHUP,
/// when a terminal closes, unless it is ignored (nohup). Once asked, SIGINT ends the process at once with exit code 130
/// and nothing saved. The destructor gives back the handlers that were there before. At most one at a time; requested()
/// may be called from any thread.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const { return number() != 0; }
  /// The signal that asked first; 0 if none did.
  int number() const;
};

/// Exit code of a process that a second SIGINT ends: what shells show for a program that SIGINT ends.
inline constexpr int kExitInterrupted = 130;

/// Makes writes to a closed pipe (SIGPIPE) and beyond the limit of a file's size (SIGXFSZ) fail with an error that can
/// be reported, where the system would end the process. For the whole process; called once, in main.
void IgnoreWriteSignals();

}  // namespace coat
