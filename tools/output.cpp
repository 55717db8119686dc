#include "tools/output.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace coat {

void Print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      throw IoError(fmt::format("standard output cannot be written: {}", std::generic_category().message(errno)));
    }
  }
}

}  // namespace coat
