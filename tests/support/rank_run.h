#pragma once
// Whole runs of the `coat` command by several ranks. Needs coat_use_mpirun and COAT_BINARY.

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/mpirun.h"
#include "tests/support/tiny_run.h"

namespace coat {

/// TinyRun with 8 sequences a step, one in a micro-batch: the same products whatever the number of ranks.
class RankRun : public TinyRun {
 protected:
  void SetUp() override {
    if (!kHasMpirun) GTEST_SKIP() << kNoMpi;
  }

  /// What every run here has. Rates are small and eps is large: where a sum in another order, a bit apart, changes the
  /// scale of a tensor in FP8, the tensor is rounded anew and later losses of so small a model differ by 1e-3.
  static std::vector<std::string> Common() {
    return {"--global_train_batch_size=8", "--device_train_microbatch_size=1", "--optimizer.learning_rate=3e-4",
            "--optimizer.eps=1e-5", "--fsdp.precision=mixed"};
  }

  static std::vector<std::string> Joined(std::vector<std::string> some, const std::vector<std::string>& others) {
    some.insert(some.end(), others.begin(), others.end());
    return some;
  }

  /// The command of a rank, quoted for the shell. It computes with one thread.
  std::string Command(const std::string& save, const std::vector<std::string>& overrides = {}) const {
    std::string command = "'" COAT_BINARY "'";
    for (const std::string& word : Train(save, Joined(Joined({"--threads=1"}, Common()), overrides)))
      command += " '" + word + "'";
    return command;
  }

  MpirunOutcome RunOn(int ranks, const std::string& save, const std::vector<std::string>& overrides = {}) const {
    return Mpirun(ranks, Command(save, overrides));
  }
  Outcome RunAlone(const std::string& save, const std::vector<std::string>& overrides = {}) const {
    return RunCoat(Train(save, Joined(Common(), overrides)));
  }

  /// Rank 0 runs one command and rank 1 another.
  static MpirunOutcome RunBoth(const std::string& first, const std::string& second) {
    return Mpirun(1, first + " : -n 1 " + second);
  }

  /// The process of rank `rank` of the runs that have `save` in their command line; 0 if there is none.
  static pid_t ProcessOf(int rank, const std::string& save) {
    const auto read = [](const std::filesystem::path& path) {
      std::ifstream stream(path, std::ios::binary);
      return std::string(std::istreambuf_iterator<char>(stream), {});
    };
    const std::string variable = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const std::string command = read(entry.path() / "cmdline");
      if (!command.starts_with(COAT_BINARY) || command.find("--save_folder=" + save) == std::string::npos) continue;
      const std::string environment = '\0' + read(entry.path() / "environ");
      if (environment.find('\0' + variable + '\0') != std::string::npos) return std::stoi(name);
    }
    return 0;
  }

  static pid_t ParentOf(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    pid_t parent = 0;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("PPid:")) parent = std::stoi(line.substr(5));
    }
    return parent;
  }

  /// Runs on two ranks, sends rank 1 a signal after some steps, or its parent, mpirun, and waits for the end.
  MpirunOutcome SignalRankOne(int number, const std::string& save, const std::vector<std::string>& overrides,
                              bool to_its_parent = false) const {
    std::future<MpirunOutcome> end = std::async(std::launch::async, [&] { return RunOn(2, save, overrides); });
    const std::string metrics = Save(save) + "/metrics.jsonl";
    const auto is_running = [&] { return end.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready; };
    while (is_running()) {
      std::error_code error;
      if (std::filesystem::file_size(metrics, error) > 2000 && !error) break;
    }
    if (is_running()) {
      const pid_t rank = ProcessOf(1, Save(save));
      EXPECT_GT(rank, 0) << "there is no rank 1";
      const pid_t process = to_its_parent && rank > 0 ? ParentOf(rank) : rank;
      if (process > 0) ::kill(process, number);
    }
    return end.get();
  }
};

/// Expects one line "coat: error: ..." on standard error, with the parts, and the exit code.
inline void ExpectFailure(const MpirunOutcome& outcome, int exit_code, std::initializer_list<std::string_view> parts) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  EXPECT_LT(outcome.seconds, 30.0);
  const std::size_t at = outcome.err.find("coat: error: ");
  ASSERT_NE(at, std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("coat: error: ", at + 1), std::string::npos) << outcome.err;
  ExpectParts(outcome.err.substr(at, outcome.err.find('\n', at) - at), parts);
}

}  // namespace coat
