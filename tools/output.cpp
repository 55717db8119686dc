#include "tools/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
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

void RefuseOutputThatIsInput(const std::string& output, const std::string& input) {
  std::error_code absent;
  if (!std::filesystem::equivalent(output, input, absent)) return;
  throw UsageError(fmt::format("{}: is both an input and an output", input));
}

}  // namespace coat
