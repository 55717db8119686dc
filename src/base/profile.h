#pragma once
// Where the time of a step goes: named spans of the host's time and, on a device with a stream of its own, of that.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/device_clock.h"

namespace coat {

/// Collects the spans of a context (Context::set_profile) from when it is made. One caller at a time.
class Profile {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  struct Span {
    std::string name;
    double begin = 0.0;      // microseconds since the profile was made
    double duration = 0.0;   // microseconds
    int depth = 0;           // spans around it
    bool on_device = false;  // the device's time from what was started before the span to its last work
  };

  /// Waits until the context's device has nothing to do.
  explicit Profile(const Context& ctx, Clock clock = std::chrono::steady_clock::now);

  void Begin(std::string name);
  /// Ends the span that was begun last.
  void End();

  /// Microseconds since the profile was made.
  double Now() const;
  /// Waits for the device. The spans that have ended, by their beginning, those of the host before those of the device.
  std::vector<Span> Spans() const;

 private:
  struct HostSpan {
    std::string name;
    double begin = 0.0;
    double end = 0.0;
    int depth = 0;
    std::int64_t first_mark = 0, last_mark = 0;
    bool ended = false;
  };

  Clock clock_;
  std::unique_ptr<DeviceClock> device_clock_;
  std::chrono::steady_clock::time_point start_;
  std::vector<HostSpan> spans_;
  std::vector<std::size_t> open_;
};

/// A span of a context's time, from here to the end of the scope. Costs next to nothing while nobody looks: there is
/// neither a profile nor, on a GPU, one of NVIDIA's tools, which see it as a range of NVTX.
class ProfileSpan {
 public:
  ProfileSpan(const Context& ctx, std::string_view name);
  /// "name 12".
  ProfileSpan(const Context& ctx, std::string_view name, std::int64_t number);
  ~ProfileSpan();
  ProfileSpan(const ProfileSpan&) = delete;
  ProfileSpan& operator=(const ProfileSpan&) = delete;

 private:
  void Begin(std::string name);

  Profile* profile_;
  Device* device_;
};

}  // namespace coat
