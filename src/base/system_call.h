#pragma once
// What calls of the operating system give back.

#include <cerrno>
#include <string>
#include <string_view>

#include "base/error.h"

namespace coat {

/// Calls a function of the system again as long as a signal interrupts it.
template <class Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

/// The system's text for an errno value.
std::string SystemReason(int error_number);

/// "{path}: cannot be {done}: {the system's reason}", of a call that failed.
IoError SystemError(std::string_view path, std::string_view done, int error_number);

}  // namespace coat
