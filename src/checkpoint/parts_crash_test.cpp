// What is left in a save folder when one of the processes that save a checkpoint together is killed at any of its
// system calls, or its disk is full.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/directory.h"
#include "tests/support/error_of.h"
#include "tests/support/example_parts.h"
#include "tests/support/killed_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

constexpr int kPeerIsGone = 3;     // exit status of a rank that another one has left alone
constexpr int kReportedError = 4;  // and of one that threw IoError

/// A rank that is a process, and tells the others texts through sockets: all that saving asks of a communicator.
class ProcessRank final : public Communicator {
 public:
  /// sockets[r] leads to rank r.
  ProcessRank(int rank, std::vector<int> sockets) : rank_(rank), sockets_(std::move(sockets)) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(sockets_.size()); }

  std::vector<std::string> AllGatherText(const std::string& text) override {
    const std::size_t length = text.size();
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank_) continue;
      Send(peer, &length, sizeof length);
      Send(peer, text.data(), length);
    }
    std::vector<std::string> texts;
    for (int peer = 0; peer < size(); ++peer) {
      std::size_t bytes = length;
      if (peer != rank_) Receive(peer, &bytes, sizeof bytes);
      texts.push_back(peer == rank_ ? text : std::string(bytes, '\0'));
      if (peer != rank_) Receive(peer, texts.back().data(), bytes);
    }
    return texts;
  }

  void AllGather(Context&, std::span<const SharedTensor>) override { Refuse(); }
  void ReduceScatter(Context&, std::span<const SharedTensor>) override { Refuse(); }
  void AllReduce(Context&, std::span<const TensorView>, Reduction) override { Refuse(); }
  void AllReduce(std::span<double>, Reduction) override { Refuse(); }
  std::unique_ptr<Communicator> Split(int) override { Refuse(); }
  void Abort(int exit_code) noexcept override { ::_exit(exit_code); }

 private:
  [[noreturn]] static void Refuse() { throw ArgumentError("saving asks for no such thing"); }

  void Send(int peer, const void* data, std::size_t bytes) const {
    const auto socket = sockets_[static_cast<std::size_t>(peer)];
    if (::send(socket, data, bytes, MSG_NOSIGNAL) != static_cast<::ssize_t>(bytes)) throw CommError("a rank is gone");
  }
  void Receive(int peer, void* data, std::size_t bytes) const {
    if (bytes == 0) return;
    const auto socket = sockets_[static_cast<std::size_t>(peer)];
    if (::recv(socket, data, bytes, MSG_WAITALL) != static_cast<::ssize_t>(bytes)) throw CommError("a rank is gone");
  }

  int rank_;
  std::vector<int> sockets_;
};

/// The sockets between processes that are still to be forked.
class Sockets {
 public:
  explicit Sockets(int ranks)
      : ends_(static_cast<std::size_t>(ranks), std::vector<int>(static_cast<std::size_t>(ranks), -1)) {
    for (std::size_t a = 0; a < ends_.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        int pair[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) throw Error("socketpair failed");
        ends_[a][b] = pair[0];
        ends_[b][a] = pair[1];
      }
    }
  }
  ~Sockets() { CloseAllBut(-1); }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  /// In the process of a rank: closes what is the others', so that the end of a process ends its sockets.
  std::vector<int> Take(int rank) {
    CloseAllBut(rank);
    return ends_[static_cast<std::size_t>(rank)];
  }

 private:
  void CloseAllBut(int rank) {
    for (std::size_t a = 0; a < ends_.size(); ++a) {
      for (int& end : ends_[a]) {
        if (static_cast<int>(a) == rank || end == -1) continue;
        ::close(end);
        end = -1;
      }
    }
  }

  std::vector<std::vector<int>> ends_;  // [rank][peer]
};

using SaveAsRank = std::function<void(Communicator&)>;

/// The exit status of a rank's process.
int StatusOf(int rank, Sockets& sockets, const SaveAsRank& save) {
  ProcessRank communicator(rank, sockets.Take(rank));
  try {
    save(communicator);
  } catch (const CommError&) {
    return kPeerIsGone;
  }
  return 0;
}

/// Kills one of `ranks` processes as it enters its system call number `count`. Returns KillAtSystemCall's status; the
/// others have ended when it returns.
int KillRankAt(int count, int victim, int ranks, const SaveAsRank& save) {
  std::vector<::pid_t> others;
  int status = 0;
  {
    Sockets sockets(ranks);
    for (int rank = 0; rank < ranks; ++rank) {
      if (rank != victim) others.push_back(Fork([&] { return StatusOf(rank, sockets, save); }));
    }
    status = KillAtSystemCall(count, [&] { return StatusOf(victim, sockets, save); });
  }
  for (const ::pid_t other : others) {
    const int of_other = ExitStatusOf(other);
    EXPECT_TRUE(of_other == 0 || (status == -1 && of_other == kPeerIsGone)) << "another rank ended with " << of_other;
  }
  return status;
}

/// The folder's checkpoints are whole to the last byte, and `latest` leads to one, whose state is returned.
TrainerState ExpectAllWhole(const std::string& folder) {
  for (const std::string& name : NamesIn(folder)) {
    if (ParseCheckpointName(name)) LoadParts(folder + "/" + name);
  }
  EXPECT_TRUE(FindLatestCheckpoint(folder).incomplete.empty());
  return LoadParts(folder + "/latest");
}

/// Kills each rank of a save at each of its system calls in turn, in a copy of a folder with step 1 and step 2. After
/// each the checkpoints are whole and the next start finds nothing else. Returns what was seen of the latest one's
/// state by `look`.
std::set<std::int64_t> KillEverywhere(int ranks, const std::function<void(const std::string&, Communicator&)>& save,
                                      const std::function<std::int64_t(const TrainerState&)>& look) {
  const TempDir folder;
  for (const std::int64_t step : {1, 2}) {
    RunAsRanks(ranks, [&](Communicator& communicator) {
      SaveParts(folder.File("original"), {.step = step}, communicator, ranks, IfExists::kRefuse, 1);
    });
  }
  std::set<std::int64_t> seen;
  for (int victim = 0; victim < ranks; ++victim) {
    int status = -1;
    for (int count = 0; status == -1; ++count) {
      const std::string copy = folder.File("copy");
      fs::copy(folder.File("original"), copy, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
      status = KillRankAt(count, victim, ranks, [&](Communicator& communicator) { save(copy, communicator); });
      if (status == kNotAllowed) return {};
      EXPECT_TRUE(status == -1 || status == 0) << "the rank failed with status " << status;
      seen.insert(look(ExpectAllWhole(copy)));
      PrepareSaveFolder(copy);
      for (const std::string& name : NamesIn(copy)) EXPECT_FALSE(name.ends_with(kTemporarySuffix)) << name;
      seen.insert(look(ExpectAllWhole(copy)));
      fs::remove_all(copy);
      EXPECT_TRUE(status == -1 || count > 20) << "rank " << victim << " made suspiciously few system calls";
      if (::testing::Test::HasFailure()) {
        ADD_FAILURE() << "rank " << victim << " killed at system call " << count;
        return seen;
      }
    }
  }
  return seen;
}

TEST(PartsCrash, ARankKilledAnywhereInASaveLeavesTheOldLatestOrTheNew) {
  const std::set<std::int64_t> seen = KillEverywhere(
      2,
      [](const std::string& folder, Communicator& ranks) {
        SaveParts(folder, {.step = 3}, ranks, 2, IfExists::kRefuse, 1);
      },
      [](const TrainerState& state) { return state.step; });
  if (seen.empty()) GTEST_SKIP() << "this machine does not allow ptrace";
  EXPECT_EQ(seen, (std::set<std::int64_t>{2, 3}));
}

TEST(PartsCrash, ARankKilledAnywhereWhileReplacingLeavesTheOldOrTheNew) {
  const std::set<std::int64_t> seen = KillEverywhere(
      2,
      [](const std::string& folder, Communicator& ranks) {
        SaveParts(folder, {.step = 2}, ranks, 1, IfExists::kReplace, 2);
      },
      [](const TrainerState& state) {
        EXPECT_EQ(state.step, 2);
        return state.extra.updates;
      });
  if (seen.empty()) GTEST_SKIP() << "this machine does not allow ptrace";
  EXPECT_EQ(seen, (std::set<std::int64_t>{1, 2}));
}

TEST(PartsCrash, ARankKilledAnywhereInAnUnshardedSaveLeavesNoHalfOfIt) {
  const std::set<std::int64_t> seen = KillEverywhere(
      2,
      [](const std::string& folder, Communicator& ranks) {
        SaveParts(folder, {.step = 3, .kind = CheckpointKind::kUnsharded}, ranks, 2, IfExists::kRefuse, 1);
      },
      [](const TrainerState& state) { return state.step; });
  if (seen.empty()) GTEST_SKIP() << "this machine does not allow ptrace";
  EXPECT_EQ(seen, std::set<std::int64_t>{2});  // latest leads to the sharded ones
}

TEST(PartsCrash, AFullDiskOfOneRankIsReportedByAllAndLeavesTheEarlierCheckpoints) {
  const TempDir folder;
  const std::string runs = folder.File("runs");
  RunAsRanks(3, [&](Communicator& ranks) { SaveParts(runs, {.step = 1}, ranks, 3); });
  for (const int full : {0, 2}) {
    const auto save = [&](Communicator& ranks) {
      try {
        if (ranks.rank() == full && !FailSystemCalls({SYS_write}, ENOSPC)) ::_exit(kNotAllowed);
        SaveParts(runs, {.step = 2}, ranks, 3);
      } catch (const IoError& error) {
        if (ranks.rank() != full) std::ofstream(folder.File(std::to_string(ranks.rank()))) << error.what();
        ::_exit(kReportedError);
      }
    };
    std::vector<::pid_t> children;
    {
      Sockets sockets(3);
      for (int rank = 0; rank < 3; ++rank) {
        children.push_back(Fork([&] { return StatusOf(rank, sockets, save); }));
      }
    }
    std::set<int> statuses;
    for (const ::pid_t child : children) statuses.insert(ExitStatusOf(child));
    if (statuses.contains(kNotAllowed)) GTEST_SKIP() << "this machine does not allow seccomp";
    EXPECT_EQ(statuses, std::set<int>{kReportedError});
    for (int rank = 0; rank < 3; ++rank) {
      if (rank == full) continue;
      ExpectParts(folder.Read(std::to_string(rank)),
                  {"rank " + std::to_string(full) + ": " + runs + "/step2-tmp/" + PartFileName(kExampleFile, full, 3),
                   "No space left on device"});
    }
    EXPECT_EQ(NamesIn(runs), (std::set<std::string>{"step1", "latest"}));
    ExpectAllWhole(runs);
  }
}

}  // namespace
}  // namespace coat
