#include "base/standard_error.h"

#include <cstdio>

namespace coat {

void WriteToStandardError(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace coat
