#include "base/profile.h"

#include <utility>

#include "base/error.h"

namespace coat {

Profile::Profile(const Context& ctx, Clock clock) : clock_(std::move(clock)) {
  if (ctx.backend()) device_clock_ = ctx.backend()->MakeClock();
  start_ = clock_();
}

double Profile::Now() const {
  return std::chrono::duration<double, std::micro>(clock_() - start_).count();
}

void Profile::Begin(std::string name) {
  HostSpan span = {.name = std::move(name), .begin = Now(), .depth = static_cast<int>(open_.size())};
  if (device_clock_) span.first_mark = device_clock_->Mark();
  open_.push_back(spans_.size());
  spans_.push_back(std::move(span));
}

void Profile::End() {
  COAT_REQUIRE(!open_.empty(), "Profile::End without a span that was begun");
  HostSpan& span = spans_[open_.back()];
  open_.pop_back();
  if (device_clock_) span.last_mark = device_clock_->Mark();
  span.end = Now();
  span.ended = true;
}

std::vector<Profile::Span> Profile::Spans() const {
  std::vector<Span> spans;
  for (const HostSpan& span : spans_) {
    if (span.ended) spans.push_back({span.name, span.begin, span.end - span.begin, span.depth, false});
  }
  if (!device_clock_) return spans;
  const std::vector<double> marks = device_clock_->Read();
  for (const HostSpan& span : spans_) {
    if (!span.ended) continue;
    const double begin = marks[static_cast<std::size_t>(span.first_mark)];
    const double end = marks[static_cast<std::size_t>(span.last_mark)];
    spans.push_back({span.name, begin, end - begin, span.depth, true});
  }
  return spans;
}

ProfileSpan::ProfileSpan(const Context& ctx, std::string_view name)
    : profile_(ctx.profile()), device_(ctx.backend().get()) {
  if (profile_ != nullptr || device_ != nullptr) Begin(std::string(name));
}

ProfileSpan::ProfileSpan(const Context& ctx, std::string_view name, std::int64_t number)
    : profile_(ctx.profile()), device_(ctx.backend().get()) {
  if (profile_ != nullptr || device_ != nullptr) Begin(fmt::format("{} {}", name, number));
}

void ProfileSpan::Begin(std::string name) {
  if (device_ != nullptr) device_->PushRange(name.c_str());
  if (profile_ != nullptr) profile_->Begin(std::move(name));
}

ProfileSpan::~ProfileSpan() {
  if (profile_ != nullptr) profile_->End();
  if (device_ != nullptr) device_->PopRange();
}

}  // namespace coat
