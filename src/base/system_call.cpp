#include "base/system_call.h"

#include <fmt/format.h>

#include <system_error>

namespace coat {

std::string SystemReason(int error_number) {
  return std::generic_category().message(error_number);
}

IoError SystemError(std::string_view path, std::string_view done, int error_number) {
  return IoError(fmt::format("{}: cannot be {}: {}", path, done, SystemReason(error_number)));
}

}  // namespace coat
