#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "report/report.h"
#include "tools/commands.h"
#include "tools/output.h"

namespace coat {

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
  for (const std::string& folder : arguments.runs) {
    for (const char* const name : {"/config.yaml", "/metrics.jsonl"}) {
      RefuseOutputThatIsInput(arguments.output, folder + name);
    }
  }
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
