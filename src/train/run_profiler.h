#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/profile.h"
#include "config/config.h"
#include "engine/engine.h"
#include "output/console.h"

namespace coat {

/// The profiles that torch_profiling and python_profiling ask for, of the same steps as OLMo's.
///
/// torch_profiling: of the 7th to the 9th step after a start or resume, tables on the console and the trace
/// `save_folder/profiler/{step}.chrome_trace.json.gz`, `step` being the last of them. python_profiling: of the steps 6
/// to 8, a table of the host's time. Results do not change; a GPU's steps are started kernel by kernel meanwhile, so
/// that the parts of a step can be told apart. Every rank profiles, since none may replay what another calls
/// (cuda/open_nccl.h); rank 0 tells.
class RunProfiler {
 public:
  /// References must stay valid. `overwrite`: a trace of an earlier run.
  RunProfiler(const TrainConfig& config, bool overwrite, Engine& engine, Console& console);
  ~RunProfiler();
  RunProfiler(const RunProfiler&) = delete;
  RunProfiler& operator=(const RunProfiler&) = delete;

  /// After a step and all that follows it, outside of any span. Throws IoError when a trace cannot be written.
  void StepEnded(std::int64_t step);
  /// When the run ends after `step`: the profiles that it cut short, and a word on those that never began.
  void RunEnded(std::int64_t step);

 private:
  double Start();
  std::vector<Profile::Span> SpansSince(double start) const;
  void WriteTrace(std::int64_t step);
  void PrintHostTable(std::int64_t step);
  void StopUnlessNeeded();

  const TrainConfig& config_;
  bool overwrite_;
  Engine& engine_;
  Console& console_;
  std::int64_t steps_ = 0;  // of this start or resume
  std::unique_ptr<Profile> profile_;
  std::optional<double> trace_start_;  // of what is being profiled, in the profile's time
  std::optional<double> table_start_;
};

}  // namespace coat
