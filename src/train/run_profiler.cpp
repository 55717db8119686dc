#include "train/run_profiler.h"

#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_system.h"
#include "output/chrome_trace.h"
#include "text/gzip_member.h"

namespace coat {

namespace {

constexpr std::string_view kLogger = "coat.train";
constexpr std::size_t kRows = 32;

// OLMo's schedule of torch's profiler, in steps of this start: wait 1, warm up 5, record 3.
constexpr std::int64_t kTraceAfter = 6;
constexpr std::int64_t kTraceEnd = 9;
// And of Python's, in steps of the run.
constexpr std::int64_t kTableAfter = 5;
constexpr std::int64_t kTableEnd = 8;

}  // namespace

RunProfiler::RunProfiler(const TrainConfig& config, bool overwrite, Engine& engine, Console& console)
    : config_(config), overwrite_(overwrite), engine_(engine), console_(console) {}

RunProfiler::~RunProfiler() {
  engine_.SetProfile(nullptr);
}

void RunProfiler::StepEnded(std::int64_t step) {
  steps_ += 1;
  if (trace_start_ && steps_ == kTraceEnd) WriteTrace(step);
  if (table_start_ && step == kTableEnd) PrintHostTable(step);
  StopUnlessNeeded();
  if (config_.torch_profiling && steps_ == kTraceAfter) trace_start_ = Start();
  if (config_.python_profiling && step == kTableAfter) table_start_ = Start();
}

void RunProfiler::RunEnded(std::int64_t step) {
  if (trace_start_ && steps_ > kTraceAfter) WriteTrace(step);
  if (table_start_ && step > kTableAfter) PrintHostTable(step);
  if (config_.torch_profiling && steps_ <= kTraceAfter) {
    console_.Warn(kLogger,
                  fmt::format("torch_profiling: no trace: the run took {} steps from its start, and steps {} to "
                              "{} are recorded",
                              steps_, kTraceAfter + 1, kTraceEnd));
  }
  if (config_.python_profiling && (step - steps_ >= kTableAfter || step <= kTableAfter)) {
    console_.Warn(kLogger,
                  fmt::format("python_profiling: no table: steps {} to {} are recorded, and this start took {} "
                              "steps, up to step {}",
                              kTableAfter + 1, kTableEnd, steps_, step));
  }
  trace_start_ = table_start_ = std::nullopt;
  StopUnlessNeeded();
}

double RunProfiler::Start() {
  if (!profile_) {
    profile_ = std::make_unique<Profile>(engine_.context());
    engine_.SetProfile(profile_.get());
  }
  return profile_->Now();
}

std::vector<Profile::Span> RunProfiler::SpansSince(double start) const {
  std::vector<Profile::Span> spans = profile_->Spans();
  std::erase_if(spans, [&](const Profile::Span& span) { return span.begin < start; });
  return spans;
}

void RunProfiler::WriteTrace(std::int64_t step) {
  const std::vector<Profile::Span> spans = SpansSince(*trace_start_);
  trace_start_ = std::nullopt;
  if (engine_.ranks().rank() != 0) return;
  const std::shared_ptr<Device>& device = engine_.context().backend();
  if (device) {
    console_.Info(kLogger,
                  fmt::format("Profile by total GPU time at step {}:\n{}", step, ProfileTable(spans, true, kRows)));
  }
  console_.Info(kLogger,
                fmt::format("Profile by total CPU time at step {}:\n{}", step, ProfileTable(spans, false, kRows)));
  const std::string folder = config_.save_folder + "/profiler";
  MakeFolders(folder);
  AtomicFile file(fmt::format("{}/{}.chrome_trace.json.gz", folder, step), overwrite_);
  const std::string process = fmt::format("coat {}", *config_.run_name);
  file.Write(GzipMember(ChromeTrace(spans, process, device ? device->Name() : "")));
  file.Commit();
  console_.Info(kLogger, fmt::format("Wrote {}; chrome://tracing and ui.perfetto.dev show it", file.path()));
}

void RunProfiler::PrintHostTable(std::int64_t step) {
  const std::vector<Profile::Span> spans = SpansSince(*table_start_);
  table_start_ = std::nullopt;
  if (engine_.ranks().rank() != 0) return;
  console_.Info(kLogger, fmt::format("Profile of the host's time in steps {} to {}:\n{}", kTableAfter + 1, step,
                                     ProfileTable(spans, false, kRows)));
}

void RunProfiler::StopUnlessNeeded() {
  if (!profile_ || trace_start_ || table_start_) return;
  engine_.SetProfile(nullptr);
  profile_.reset();
}

}  // namespace coat
