#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "report/report.h"
#include "tools/commands.h"
#include "tools/output.h"

namespace coat {

namespace {

/// Refuses a page in the place of a file that the page is made of.
void RefuseOutputAmongInputs(const ReportArguments& arguments) {
  for (const std::string& folder : arguments.runs) {
    for (const char* const name : {"config.yaml", "metrics.jsonl"}) {
      const std::string input = folder + "/" + name;
      std::error_code absent;
      if (std::filesystem::equivalent(input, arguments.output, absent)) {
        throw UsageError(fmt::format("{}: is both an input and an output", input));
      }
    }
  }
}

}  // namespace

int RunReportCommand(const ReportArguments& arguments) {
  if (arguments.runs.empty()) {
    throw UsageError("report: expected the save folders of one or more runs; see coat report --help");
  }
  std::set<std::string> folders;
  for (const std::string& folder : arguments.runs) {
    if (!folders.insert(std::filesystem::weakly_canonical(std::filesystem::absolute(folder + "/")).string()).second) {
      throw UsageError(fmt::format("report: {} is given twice", folder));
    }
  }
  RefuseOutputAmongInputs(arguments);
  AtomicFile file(arguments.output, arguments.overwrite);
  std::vector<RunRecord> runs;
  for (const std::string& folder : arguments.runs) runs.push_back(ReadRun(folder));
  const std::string page = ReportPage(runs);
  file.Write(std::as_bytes(std::span(page)));
  file.Commit();
  Print(fmt::format("{} run{} in {}\n", runs.size(), runs.size() == 1 ? "" : "s", arguments.output));
  return kExitSuccess;
}

}  // namespace coat
