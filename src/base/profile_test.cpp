#include "base/profile.h"

#include <gtest/gtest.h>

#include <utility>

#include "base/error.h"

namespace coat {
namespace {

/// A clock that a test sets.
class SetClock {
 public:
  Profile::Clock Reader() {
    return [this] { return std::chrono::steady_clock::time_point() + std::chrono::microseconds(now_); };
  }
  void Advance(int microseconds) { now_ += microseconds; }

 private:
  std::int64_t now_ = 1'000'000;
};

void ExpectSpan(const Profile::Span& span, const char* name, double begin, double duration, int depth, bool on_device) {
  EXPECT_EQ(span.name, name);
  EXPECT_DOUBLE_EQ(span.begin, begin) << name;
  EXPECT_DOUBLE_EQ(span.duration, duration) << name;
  EXPECT_EQ(span.depth, depth) << name;
  EXPECT_EQ(span.on_device, on_device) << name;
}

TEST(Profile, HoldsTheSpansOfAContextByTheirBeginning) {
  SetClock clock;
  Context ctx(DeviceKind::kCpu, 1);
  Profile profile(ctx, clock.Reader());
  ctx.set_profile(&profile);
  clock.Advance(5);
  {
    const ProfileSpan step(ctx, "step", 7);
    clock.Advance(10);
    {
      const ProfileSpan data(ctx, "data");
      clock.Advance(3);
    }
    const ProfileSpan open(ctx, "update");
    clock.Advance(2);
    EXPECT_EQ(profile.Spans().size(), 1u) << "the others are still open";
  }
  const std::vector<Profile::Span> spans = profile.Spans();
  ASSERT_EQ(spans.size(), 3u);
  ExpectSpan(spans[0], "step 7", 5, 15, 0, false);
  ExpectSpan(spans[1], "data", 15, 3, 1, false);
  ExpectSpan(spans[2], "update", 18, 2, 1, false);
  EXPECT_DOUBLE_EQ(profile.Now(), 20);
}

TEST(Profile, IsNotNeeded) {
  Context ctx(DeviceKind::kCpu, 1);
  const ProfileSpan span(ctx, "nobody looks");
  EXPECT_EQ(ctx.profile(), nullptr);
}

TEST(Profile, RefusesAnEndWithoutABeginning) {
  const Context ctx(DeviceKind::kCpu, 1);
  Profile profile(ctx);
  EXPECT_THROW(profile.End(), ArgumentError);
}

/// A device with nothing but a clock, whose work takes 100 microseconds a mark; and what it was asked for.
class ClockedDevice final : public Device {
 public:
  class Clock final : public DeviceClock {
   public:
    std::int64_t Mark() noexcept override { return marks_++; }
    std::vector<double> Read() override {
      std::vector<double> times;
      for (std::int64_t mark = 0; mark < marks_; ++mark) times.push_back(100.0 * static_cast<double>(mark));
      return times;
    }

   private:
    std::int64_t marks_ = 0;
  };

  std::string Name() const override { return "clock"; }
  Memory ReadMemory() const override { return {}; }
  std::int64_t workspace_bytes() const override { return 0; }
  void ReserveWorkspace(std::int64_t) override {}
  std::byte* Allocate(std::int64_t) override { return nullptr; }
  void Free(std::byte*) noexcept override {}
  void Upload(const void*, void*, std::int64_t) override {}
  void Download(const void*, void*, std::int64_t) override {}
  void Copy(const void*, void*, std::int64_t) override {}
  void Synchronize() override {}
  void Recorded(std::string_view, std::uint64_t, const std::function<void()>&) override { calls_ += "recorded;"; }
  std::int64_t Beside(const std::function<void()>&) override { return 0; }
  void WaitFor(std::int64_t) override {}
  std::unique_ptr<DeviceClock> MakeClock() override { return std::make_unique<Clock>(); }
  void PushRange(const char* name) noexcept override { calls_ += std::string("push ") + name + ";"; }
  void PopRange() noexcept override { calls_ += "pop;"; }
  void SetTrials(Trials) override {}
  std::string ExportTuning() const override { return ""; }
  std::string ImportTuning(std::string_view) override { return ""; }
  std::string DescribeTuning() const override { return ""; }

  std::string TakeCalls() { return std::exchange(calls_, ""); }

 private:
  std::string calls_;
};

TEST(Profile, HasTheDevicesTimesToo) {
  SetClock clock;
  Context ctx(std::make_shared<ClockedDevice>());
  Profile profile(ctx, clock.Reader());
  ctx.set_profile(&profile);
  {
    const ProfileSpan step(ctx, "step");
    const ProfileSpan block(ctx, "block", 0);
    clock.Advance(1);
  }
  const std::vector<Profile::Span> spans = profile.Spans();
  ASSERT_EQ(spans.size(), 4u);
  ExpectSpan(spans[0], "step", 0, 1, 0, false);
  ExpectSpan(spans[1], "block 0", 0, 1, 1, false);
  ExpectSpan(spans[2], "step", 0, 300, 0, true);
  ExpectSpan(spans[3], "block 0", 100, 100, 1, true);
}

TEST(Profile, CallsWorkThatWouldOtherwiseBeReplayed) {
  const auto device = std::make_shared<ClockedDevice>();
  Context ctx(device);
  int calls = 0;
  const auto work = [&] {
    const ProfileSpan span(ctx, "part");
    ++calls;
  };
  ctx.Recorded("work", 0, work);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(device->TakeCalls(), "recorded;");
  Profile profile(ctx);
  ctx.set_profile(&profile);
  ctx.Recorded("work", 0, work);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(device->TakeCalls(), "push part;pop;");
  ctx.set_profile(nullptr);
  ctx.Recorded("work", 0, work);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace coat
