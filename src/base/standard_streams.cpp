#include "base/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace coat {

void WriteToStandardError(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void OccupyStandardDescriptors() {
  for (;;) {
    const int descriptor = ::open("/dev/null", O_RDONLY);  // the lowest that is free
    if (descriptor <= STDERR_FILENO && descriptor >= 0) continue;
    if (descriptor >= 0) ::close(descriptor);
    return;
  }
}

}  // namespace coat
