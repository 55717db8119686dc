// What is left in a save folder after a kill at every single system call of a save, after kills at random instants, and
// after each kind of system call fails. The save runs in a child process; this one kills it and looks at the folder.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/example_checkpoint.h"
#include "tests/support/killed_process.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

/// The checkpoints of a folder, oldest first.
std::vector<std::string> CheckpointNames(const std::string& folder) {
  std::vector<std::string> names;
  for (const std::string& name : NamesIn(folder)) {
    if (ParseCheckpointName(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return ParseCheckpointName(a)->step < ParseCheckpointName(b)->step;
  });
  return names;
}

/// Every checkpoint of the folder is whole to the last byte, and `latest` leads to one. Returns that one's state.
TrainerState ExpectAllWhole(const std::string& folder) {
  for (const std::string& name : CheckpointNames(folder)) {
    EXPECT_EQ(LoadExample(folder + "/" + name).step, ParseCheckpointName(name)->step);
  }
  EXPECT_TRUE(FindLatestCheckpoint(folder).incomplete.empty());
  EXPECT_TRUE(fs::is_symlink(folder + "/latest"));
  return LoadExample(folder + "/latest");
}

void ExpectNothingTemporary(const std::string& folder) {
  for (const std::string& name : NamesIn(folder)) {
    EXPECT_TRUE(name == "latest" || ParseCheckpointName(name)) << name << " is left over";
  }
}

/// Kills `body` at each of its system calls in turn, each time in a fresh copy of `original`, and has `check` look at
/// what is left. `check` is told whether the body came to its end.
void KillEverywhere(const TempDir& folder, const std::string& original,
                    const std::function<int(const std::string&)>& body,
                    const std::function<void(const std::string&, bool)>& check) {
  for (int count = 0;; ++count) {
    const std::string copy = folder.File("copy" + std::to_string(count));
    fs::copy(original, copy, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    const int status = KillAtSystemCall(count, [&] { return body(copy); });
    if (status == kNotAllowed) GTEST_SKIP() << "this machine does not allow ptrace or seccomp";
    ASSERT_TRUE(status == -1 || status == 0) << "the child failed with status " << status;
    check(copy, status == 0);
    if (::testing::Test::HasFailure()) FAIL() << "killed at system call " << count;
    if (status == 0) {
      EXPECT_GT(count, 20) << "the child made suspiciously few system calls";
      return;
    }
    fs::remove_all(copy);
  }
}

/// What must hold in every case: whole checkpoints after PrepareSaveFolder, nothing temporary, and saving goes on.
TrainerState ExpectRecovery(const std::string& folder) {
  PrepareSaveFolder(folder);
  ExpectNothingTemporary(folder);
  TrainerState state = ExpectAllWhole(folder);
  const std::int64_t next = ParseCheckpointName(CheckpointNames(folder).back())->step + 1;
  SaveExample(folder, next, 9, IfExists::kRefuse);
  EXPECT_EQ(ExpectAllWhole(folder).step, next);
  return state;
}

class Crash : public ::testing::Test {
 protected:
  Crash() {
    SaveExample(original_, 1, 1, IfExists::kRefuse);
    SaveExample(original_, 2, 1, IfExists::kRefuse);
  }
  const TempDir folder_;
  const std::string original_ = folder_.File("original");
};

TEST_F(Crash, KilledAnywhereInASaveLeavesTheOldLatestOrTheNew) {
  std::set<std::int64_t> seen;
  KillEverywhere(
      folder_, original_,
      [](const std::string& folder) {
        SaveExample(folder, 3, 1, IfExists::kRefuse);
        std::vector<std::string> names = CheckpointNames(folder);
        ApplyRetention(folder, names, 2);
        return 0;
      },
      [&](const std::string& folder, bool finished) {
        const std::int64_t latest = ExpectAllWhole(folder).step;
        seen.insert(latest);
        EXPECT_TRUE(latest == 2 || latest == 3);
        EXPECT_TRUE(IsWholeCheckpoint(folder + "/step2"));
        EXPECT_EQ(ExpectRecovery(folder).step, latest);
        EXPECT_TRUE(!finished || (latest == 3 && !fs::exists(folder + "/step1")));
      });
  if (IsSkipped()) return;
  EXPECT_EQ(seen, (std::set<std::int64_t>{2, 3}));
}

TEST_F(Crash, KilledAnywhereWhileReplacingLeavesTheOldOrTheNew) {
  std::set<std::int64_t> seen;
  KillEverywhere(
      folder_, original_,
      [](const std::string& folder) {
        SaveExample(folder, 2, 2, IfExists::kReplace);
        return 0;
      },
      [&](const std::string& folder, bool finished) {
        const std::int64_t variant = ExpectAllWhole(folder).extra.updates;
        seen.insert(variant);
        EXPECT_EQ(ExpectRecovery(folder).extra.updates, variant);
        EXPECT_TRUE(!finished || variant == 2);
      });
  if (IsSkipped()) return;
  EXPECT_EQ(seen, (std::set<std::int64_t>{1, 2}));
}

TEST_F(Crash, KilledAnywhereWhileReplacingWithoutExchangeOfNamesIsMendedAtTheNextStart) {
  std::set<std::int64_t> seen;
  KillEverywhere(
      folder_, original_,
      [](const std::string& folder) {
        if (!FailSystemCalls({SYS_renameat2}, EINVAL)) return kNotAllowed;
        SaveExample(folder, 2, 2, IfExists::kReplace);
        return 0;
      },
      [&](const std::string& folder, bool finished) {
        EXPECT_EQ(LoadExample(folder + "/step1").step, 1);
        const std::int64_t variant = ExpectRecovery(folder).extra.updates;
        seen.insert(variant);
        EXPECT_TRUE(!finished || variant == 2);
      });
  if (IsSkipped()) return;
  EXPECT_EQ(seen, (std::set<std::int64_t>{1, 2}));
}

TEST_F(Crash, KilledAnywhereInTheMendingIsMendedByTheNextStart) {
  fs::rename(original_ + "/step2", original_ + "/step2-replaced-tmp");
  SaveExample(folder_.File("other"), 3, 1, IfExists::kRefuse);
  fs::rename(folder_.File("other/step3"), original_ + "/step3-tmp");
  SaveExample(folder_.File("other"), 4, 1, IfExists::kRefuse);
  fs::rename(folder_.File("other/step4"), original_ + "/step4-removed-tmp");
  KillEverywhere(
      folder_, original_,
      [](const std::string& folder) {
        PrepareSaveFolder(folder);
        return 0;
      },
      [&](const std::string& folder, bool) {
        EXPECT_EQ(LoadExample(folder + "/step1").step, 1);
        EXPECT_EQ(ExpectRecovery(folder).step, 2);
      });
}

TEST_F(Crash, KilledAtRandomInstantsAgainAndAgainLosesNothing) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  SaveExample(original_, 3, 1, IfExists::kRefuse);
  const auto save_microseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count() + 1;
  std::mt19937 random(3);
  std::int64_t latest = 3;
  for (int round = 0; round < 200 || (latest == 3 && Clock::now() - start < std::chrono::seconds(60)); ++round) {
    const ::pid_t child = Fork([&]() -> int {
      PrepareSaveFolder(original_);
      for (;;) {
        std::vector<std::string> names = CheckpointNames(original_);
        const std::int64_t newest = ParseCheckpointName(names.back())->step;
        SaveExample(original_, newest, 2, IfExists::kReplace);
        SaveExample(original_, newest + 1, 1, IfExists::kRefuse);
        names.push_back(CheckpointName{.step = newest + 1}.text());
        ApplyRetention(original_, names, 3);
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % (20 * save_microseconds)));
    ::kill(child, SIGKILL);
    ASSERT_EQ(ExitStatusOf(child), -1) << "the child ended before it was killed";
    const std::int64_t now = ExpectAllWhole(original_).step;
    EXPECT_GE(now, latest);
    latest = now;
    ASSERT_FALSE(HasFailure()) << "in round " << round;
  }
  EXPECT_GT(latest, 3) << "no child came to save anything";
  ExpectRecovery(original_);
}

struct Fault {
  const char* name;
  std::vector<long> calls;
  int error_number;
  const char* place;  // of the first such call: what the message must name besides the reason
  const char* message;
};

// Older architectures have system calls of the first kind, newer ones only those of the second.
const std::vector<Fault>& Faults() {
  static const std::vector<Fault> faults = {
#ifdef SYS_open
      {"open", {SYS_open, SYS_openat}, EMFILE, "step3-tmp", "Too many open files"},
      {"mkdir", {SYS_mkdir, SYS_mkdirat}, EDQUOT, "step3-tmp", "Disk quota exceeded"},
      {"rename", {SYS_rename, SYS_renameat}, EROFS, "step3", "Read-only file system"},
      {"symlink", {SYS_symlink, SYS_symlinkat}, EPERM, "latest-tmp", "Operation not permitted"},
#else
      {"open", {SYS_openat}, EMFILE, "step3-tmp", "Too many open files"},
      {"mkdir", {SYS_mkdirat}, EDQUOT, "step3-tmp", "Disk quota exceeded"},
      {"rename", {SYS_renameat}, EROFS, "step3", "Read-only file system"},
      {"symlink", {SYS_symlinkat}, EPERM, "latest-tmp", "Operation not permitted"},
#endif
      {"write", {SYS_write}, ENOSPC, "step3-tmp/model.safetensors", "No space left on device"},
      {"close", {SYS_close}, EIO, "step3-tmp/model.safetensors", "Input/output error"},
  };
  return faults;
}

TEST_F(Crash, AFailedSystemCallIsReportedAndLeavesTheEarlierCheckpoints) {
  constexpr std::size_t kMessageBytes = 4096;
  auto* const message =
      static_cast<char*>(::mmap(nullptr, kMessageBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(message, MAP_FAILED);
  for (const Fault& fault : Faults()) {
    const std::string copy = folder_.File(fault.name);
    fs::copy(original_, copy, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    std::memset(message, 0, kMessageBytes);
    const int status = ExitStatusOf(Fork([&] {
      if (!FailSystemCalls(fault.calls, fault.error_number)) return kNotAllowed;
      try {
        SaveExample(copy, 3, 1, IfExists::kRefuse);
      } catch (const IoError& error) {
        std::strncpy(message, error.what(), kMessageBytes - 1);
        return 0;
      }
      return 2;  // it was not noticed
    }));
    if (status == kNotAllowed) GTEST_SKIP() << "this machine does not allow seccomp";
    EXPECT_EQ(status, 0) << fault.name;
    ExpectParts(message, {copy + "/" + fault.place + ":", fault.message});
    EXPECT_EQ(ExpectAllWhole(copy).step, 2) << fault.name;
    const std::string name = fault.name;
    EXPECT_EQ(fs::exists(copy + "/step3"), name == "symlink") << fault.name;
    if (name != "open") ExpectNothingTemporary(copy);  // a folder that cannot be opened cannot be removed either
    ExpectRecovery(copy);
  }
  ::munmap(message, kMessageBytes);
}

/// Lets this process mount what no other process sees; one that is not root becomes root of a namespace of its own.
bool EnterOwnMounts() {
  if (::unshare(CLONE_NEWNS) != 0) {
    const std::string user = std::to_string(::geteuid());
    const std::string group = std::to_string(::getegid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    const auto write = [](const char* path, const std::string& text) {
      return bool(std::ofstream(path) << text << std::flush);
    };
    if (!write("/proc/self/setgroups", "deny") || !write("/proc/self/uid_map", "0 " + user + " 1") ||
        !write("/proc/self/gid_map", "0 " + group + " 1")) {
      return false;
    }
  }
  return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

TEST_F(Crash, AFullDiskIsReportedAndSavingGoesOnOnceThereIsRoom) {
  const std::string disk = folder_.File("disk");
  fs::create_directory(disk);
  const int status = ExitStatusOf(Fork([&] {
    if (!EnterOwnMounts() || ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
      return kNotAllowed;
    }
    std::int64_t step = 0;
    std::string message;
    while (message.empty() && step < 100) {
      try {
        SaveExample(disk, ++step, 1, IfExists::kRefuse);
      } catch (const IoError& error) {
        message = error.what();
      }
    }
    ExpectParts(message, {disk + "/step" + std::to_string(step) + "-tmp/", "No space left on device"});
    EXPECT_GT(step, 2);
    ExpectNothingTemporary(disk);
    EXPECT_EQ(ExpectAllWhole(disk).step, step - 1);
    std::vector<std::string> names = CheckpointNames(disk);
    ApplyRetention(disk, names, 1);
    SaveExample(disk, step, 1, IfExists::kRefuse);
    EXPECT_EQ(ExpectAllWhole(disk).step, step);
    return 0;
  }));
  if (status == kNotAllowed) GTEST_SKIP() << "this machine does not allow a file system of the test's own";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace coat
