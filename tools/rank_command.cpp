#include "tools/rank_command.h"

#include <memory>
#include <optional>

#include "base/error.h"
#include "comm/launch.h"
#include "tools/failure.h"

namespace coat {

namespace {

bool IsOfAllRanks(const std::exception& exception) {
  const auto* const error = dynamic_cast<const Error*>(&exception);
  return error != nullptr && error->is_of_all_ranks;
}

}  // namespace

int RunOnRanks(const std::function<int(Communicator& ranks)>& command) {
  const std::unique_ptr<Communicator> ranks = JoinRanks();
  if (ranks->size() == 1) return command(*ranks);
  Failure failure;
  try {
    return command(*ranks);
  } catch (const std::exception& error) {
    failure = FailureOf(error);
    if (!IsOfAllRanks(error)) {
      PrintFailureOfRank(ranks->rank(), failure.message);
      ranks->Abort(failure.exit_code);
    }
  }
  if (ranks->rank() == 0) PrintFailure(failure.message);
  ranks->Barrier();  // a launcher may end all ranks as soon as one has left with an error
  return failure.exit_code;
}

void RequireOneRank(const std::string& command) {
  const int ranks = LaunchedRanks();
  if (ranks == 1) return;
  throw UsageError(
      fmt::format("{}: started on {} ranks; accepted: one process, or `coat train` on several", command, ranks));
}

}  // namespace coat
