// The order in which a save reaches the disk, and what it leaves when any one of those calls fails. A power failure may
// undo every change of names and every byte that no sync came after, so the order is what a save's safety rests on.

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/example_checkpoint.h"
#include "tests/support/temp_dir.h"

namespace {

/// What the calls below do and have done.
struct SystemCalls {
  bool recording = false;
  bool can_exchange = true;
  std::optional<std::size_t> fail_at;  // the number of the recorded call that fails
  std::vector<std::string> record;

  bool Fails(std::string call) {
    if (!recording) return false;
    record.push_back(std::move(call));
    errno = EIO;
    return fail_at == record.size() - 1;
  }
};
SystemCalls system_calls;

}  // namespace

// They take the place of the C library's in this program.
extern "C" int rename(const char* from, const char* to) noexcept {
  if (system_calls.Fails(std::string("rename ") + from + " " + to)) return -1;
  return static_cast<int>(::syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}

extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  if (!system_calls.can_exchange) {
    errno = EINVAL;
    return -1;
  }
  if (system_calls.Fails(std::string("exchange ") + from + " " + to)) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

// Waits for no disk: no test loses power, and on a busy machine the thousands of syncs of this program's tests take a
// minute.
extern "C" int fsync(int descriptor) {
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  return system_calls.Fails("sync " + std::filesystem::read_symlink(link).string()) ? -1 : 0;
}

namespace coat {
namespace {

namespace fs = std::filesystem;

/// Records, and where asked fails, what this process does to the disk while it lives.
class Recording {
 public:
  explicit Recording(bool can_exchange = true, std::optional<std::size_t> fail_at = {}) {
    system_calls = {.recording = true, .can_exchange = can_exchange, .fail_at = fail_at, .record = {}};
  }
  ~Recording() { system_calls = {}; }

  /// The calls, with the folder's path as "@".
  std::vector<std::string> Calls(const std::string& folder) const {
    std::vector<std::string> calls = system_calls.record;
    for (std::string& call : calls) {
      for (std::size_t at = 0; (at = call.find(folder)) != std::string::npos;) call.replace(at, folder.size(), 1, '@');
    }
    return calls;
  }
};

using Calls = std::vector<std::string>;

TEST(Durability, ASaveSyncsItsFilesBeforeItsNameAndItsNameBeforeTheLink) {
  const TempDir folder;
  const Recording recording;
  SaveExample(folder.path(), 3, 1, IfExists::kRefuse);
  EXPECT_EQ(recording.Calls(folder.path()),
            (Calls{"sync @/step3-tmp/model.safetensors", "sync @/step3-tmp/train.json", "sync @/step3-tmp",
                   "sync @/step3-tmp/config.yaml", "sync @/step3-tmp", "rename @/step3-tmp @/step3", "sync @",
                   "rename @/latest-tmp @/latest", "sync @"}));
}

TEST(Durability, AReplacedCheckpointIsRemovedAfterTheNewOneHasItsName) {
  for (const bool can_exchange : {true, false}) {
    const TempDir folder;
    SaveExample(folder.path(), 3, 1, IfExists::kRefuse);
    const Recording recording(can_exchange);
    SaveExample(folder.path(), 3, 2, IfExists::kReplace);
    Calls calls = recording.Calls(folder.path());
    calls.erase(calls.begin(), calls.begin() + 5);  // the files, as above
    const Calls exchanged = {"exchange @/step3-tmp @/step3", "sync @", "rename @/latest-tmp @/latest", "sync @"};
    const Calls aside = {"rename @/step3 @/step3-replaced-tmp", "sync @", "rename @/step3-tmp @/step3", "sync @",
                         "rename @/latest-tmp @/latest",        "sync @"};
    EXPECT_EQ(calls, can_exchange ? exchanged : aside);
    EXPECT_FALSE(fs::exists(folder.File("step3-tmp")));
    EXPECT_FALSE(fs::exists(folder.File("step3-replaced-tmp")));
  }
}

TEST(Durability, ARemovedCheckpointLosesItsNameBeforeItsFiles) {
  const TempDir folder;
  SaveExample(folder.path(), 3, 1, IfExists::kRefuse);
  const Recording recording;
  RemoveCheckpoint(folder.path(), "step3");
  EXPECT_EQ(recording.Calls(folder.path()), (Calls{"rename @/step3 @/step3-removed-tmp", "sync @"}));
}

TEST(Durability, AnyOneCallThatFailsLeavesWholeCheckpointsUnderTheirNames) {
  for (const bool can_exchange : {true, false}) {
    for (std::size_t fail_at = 0;; ++fail_at) {
      const TempDir folder;
      SaveExample(folder.path(), 1, 1, IfExists::kRefuse);
      SaveExample(folder.path(), 2, 1, IfExists::kRefuse);
      std::string message;
      Calls calls;
      {
        const Recording recording(can_exchange, fail_at);
        try {
          SaveExample(folder.path(), 2, 2, IfExists::kReplace);
        } catch (const IoError& error) {
          message = error.what();
        }
        calls = recording.Calls(folder.path());
      }
      SCOPED_TRACE(calls.size() > fail_at ? calls[fail_at] : "no call failed");
      EXPECT_EQ(LoadExample(folder.File("step1")).step, 1);
      const std::int64_t variant = LoadExample(folder.File("step2")).extra.updates;
      EXPECT_EQ(LoadExample(folder.File("latest")).step, 2);
      if (calls.size() <= fail_at) {
        EXPECT_EQ(message, "");
        EXPECT_EQ(variant, 2);
        EXPECT_GE(fail_at, 9u);
        break;
      }
      ExpectParts(message, {folder.path(), "Input/output error"});
      PrepareSaveFolder(folder.path());
      EXPECT_EQ(LoadExample(folder.File("step2")).extra.updates, variant);
      SaveExample(folder.path(), 2, 3, IfExists::kReplace);
      EXPECT_EQ(LoadExample(folder.File("latest")).extra.updates, 3);
    }
  }
}

}  // namespace
}  // namespace coat
