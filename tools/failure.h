#pragma once
// What an error becomes at the end of a command: a message and an exit code.

#include <exception>
#include <string>

namespace coat {

struct Failure {
  int exit_code = 0;
  std::string message;
  bool is_of_all_ranks = false;  // see Error
};
Failure FailureOf(const std::exception& exception);

/// Prints "coat: error: message" on standard error, after what is on its way to standard output.
///
/// Of one of several ranks, with "rank 1 of 4: " before the message; what is of all ranks, rank 0 alone prints. Ranks
/// other than 0 wait a little first: if rank 0 has failed too, it ends them meanwhile, so that what fails everywhere is
/// said once.
void PrintFailure(const Failure& failure, int rank = 0, int ranks = 1);

}  // namespace coat
