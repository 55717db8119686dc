#pragma once
// How long a rank waits for another one. Header only: the module of MPI links nothing of ours.

#include <algorithm>
#include <chrono>

namespace coat {

/// From then on, in seconds, a rank that waits says so once, and gives up.
struct WaitLimit {
  double warning = 60.0;
  double end = 1800.0;  // as torch's process groups in OLMo
};

/// One wait, by looks that come as often as the waiting rank runs.
///
/// A second at most counts from one look to the next: a rank that did not run itself for a while, because the whole run
/// was suspended, has waited for nobody meanwhile.
class LimitedWait {
 public:
  using Time = std::chrono::steady_clock::time_point;

  enum class Look { kGoOn, kWarn, kEnd };

  LimitedWait(const WaitLimit& limit, Time now) : limit_(limit), last_(now) {}

  double seconds() const { return seconds_; }

  /// kWarn once.
  Look At(Time now) {
    seconds_ += std::min(std::chrono::duration<double>(now - last_).count(), 1.0);
    last_ = now;
    if (seconds_ >= limit_.end) return Look::kEnd;
    if (has_warned_ || seconds_ < limit_.warning) return Look::kGoOn;
    has_warned_ = true;
    return Look::kWarn;
  }

 private:
  WaitLimit limit_;
  Time last_;
  double seconds_ = 0.0;
  bool has_warned_ = false;
};

}  // namespace coat
