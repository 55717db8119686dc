#include "tools/rank_command.h"

#include <memory>

#include "base/error.h"
#include "comm/agreement.h"
#include "comm/launch.h"
#include "tools/failure.h"

namespace coat {

int RunOnRanks(const std::function<int(Communicator& ranks)>& command) {
  const std::unique_ptr<Communicator> ranks = JoinRanks();
  if (ranks->size() == 1) return command(*ranks);
  Failure failure;
  try {
    return command(*ranks);
  } catch (const std::exception& error) {
    failure = FailureOf(error);
  }
  if (!failure.is_of_all_ranks || ranks->rank() == 0) PrintFailure(failure, ranks->rank(), ranks->size());
  if (!failure.is_of_all_ranks) ranks->Abort(failure.exit_code);
  ranks->Barrier();  // a launcher may end all ranks as soon as one has left with an error
  return failure.exit_code;
}

void RequireOneRank(const std::string& command) {
  const int ranks = LaunchedRanks();
  if (ranks == 1) return;
  throw OfAllRanks(UsageError(fmt::format(
      "{}: started on {} ranks; accepted: one process; several are for `coat train` and `coat plan`", command, ranks)));
}

}  // namespace coat
