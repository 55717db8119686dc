#include "tools/validation_output.h"

#include <fmt/core.h>

#include <cstdio>

namespace coat {

void PrintValidation(const ValidationReport& report) {
  for (const std::string& warning : report.warnings) fmt::print(stderr, "coat: warning: {}\n", warning);
  for (const std::string& key : report.without_effect) fmt::print(stderr, "coat: note: without effect: {}\n", key);
}

}  // namespace coat
