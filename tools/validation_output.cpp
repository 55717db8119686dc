#include "tools/validation_output.h"

#include <fmt/core.h>

#include "base/standard_streams.h"

namespace coat {

void PrintValidation(const ValidationReport& report) {
  for (const std::string& warning : report.warnings) WriteToStandardError(fmt::format("coat: warning: {}\n", warning));
  for (const std::string& key : report.without_effect) {
    WriteToStandardError(fmt::format("coat: note: without effect: {}\n", key));
  }
}

}  // namespace coat
