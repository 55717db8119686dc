#pragma once
// Errors: who is at fault decides the class, and the class decides the exit code (tools/main.cpp).

#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace coat {

/// Base of every error that this program reports. Caught in main; before that only to say more of where it arose, for
/// ranks to agree on it, and where a part that failed can be done without.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;

  /// Whether all ranks of the run throw it, with the same words, at the same place (comm/agreement.h): then one of them
  /// reports it for all.
  bool is_of_all_ranks = false;
};

/// A command line that makes no sense: unknown command, missing argument. Exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// A configuration that cannot be honored. The message names file, line, key path and what is accepted. Exit code 2.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A file that is missing, unreadable, truncated or malformed. The message names file, offset, expected and found.
class IoError : public Error {
 public:
  using Error::Error;
};

/// A caller of an op broke its contract. The message names the argument, what it is and what it must be.
class ArgumentError : public Error {
 public:
  using Error::Error;
};

/// Training cannot go on: for example too many steps in a row with non-finite gradients.
class TrainingError : public Error {
 public:
  using Error::Error;
};

/// Another rank of the run, or what connects the ranks, has failed.
class CommError : public Error {
 public:
  using Error::Error;
};

namespace detail {
[[noreturn]] void ThrowArgumentError(const char* file, int line, const std::string& message);
}  // namespace detail

}  // namespace coat

/// Throws ArgumentError with a formatted message unless `condition` holds. In all builds; for front doors.
#define COAT_REQUIRE(condition, ...)                                                      \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      ::coat::detail::ThrowArgumentError(__FILE__, __LINE__, ::fmt::format(__VA_ARGS__)); \
    }                                                                                     \
  } while (false)
