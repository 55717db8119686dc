#pragma once
// What an error becomes at the end of a command: a message and an exit code.

#include <exception>
#include <string>

namespace coat {

struct Failure {
  int exit_code = 0;
  std::string message;
};
Failure FailureOf(const std::exception& error);

/// Prints "coat: error: message" on standard error, after what is on its way to standard output.
void PrintFailure(const std::string& message);

/// The same from rank `rank`, which stands before the message. Where it is not 0 it waits a little first: rank 0 prints
/// and ends all ranks meanwhile if it has failed too, so that what fails everywhere is said once.
void PrintFailureOfRank(int rank, const std::string& message);

}  // namespace coat
