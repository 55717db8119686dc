#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(AtomicFile, AppearsOnlyOnCommit) {
  const TempDir folder;
  const std::string path = folder.File("out");
  {
    AtomicFile file(path, false);
    file.Write(Bytes("abc"));
    file.Flush();
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(folder.Read(file.partial_path()), "abc");
    file.Write(Bytes("def"));
    file.Commit();
    EXPECT_EQ(folder.Read(path), "abcdef");
  }
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"out"});
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TempDir folder;
  { AtomicFile(folder.File("out"), false).Write(Bytes("abc")); }
  EXPECT_TRUE(NamesIn(folder.path()).empty());
}

TEST(AtomicFile, KeepsTheOrderOfSmallAndLargePieces) {
  const TempDir folder;
  std::string expected;
  AtomicFile file(folder.File("out"), false);
  for (const std::size_t size : {3u, 1u << 20, 0u, (1u << 20) - 1, 1u, (1u << 21) + 7, 5u}) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    file.Write(Bytes(piece));
    expected += piece;
  }
  file.Commit();
  EXPECT_TRUE(folder.Read("out") == expected);
}

TEST(AtomicFile, RefusesAnExistingFile) {
  const TempDir folder;
  const std::string path = folder.Write("out", "old");
  EXPECT_EQ(ErrorOf([&] { AtomicFile(path, false); }), path + ": exists already; nothing was overwritten");
  EXPECT_EQ(folder.Read("out"), "old");
}

TEST(AtomicFile, RefusesAFileThatAppearsWhileItIsWritten) {
  const TempDir folder;
  AtomicFile file(folder.File("out"), false);
  file.Write(Bytes("new"));
  folder.Write("out", "old");
  EXPECT_EQ(ErrorOf([&] { file.Commit(); }), folder.File("out") + ": exists already; nothing was overwritten");
  EXPECT_EQ(folder.Read("out"), "old");
}

TEST(AtomicFile, OverwritesWhenToldTo) {
  const TempDir folder;
  const std::string path = folder.Write("out", "old");
  AtomicFile file(path, true);
  file.Write(Bytes("new"));
  EXPECT_EQ(folder.Read("out"), "old");
  file.Commit();
  EXPECT_EQ(folder.Read("out"), "new");
}

TEST(AtomicFile, RefusesAFolderAndAMissingFolder) {
  const TempDir folder;
  EXPECT_EQ(ErrorOf([&] { AtomicFile(folder.path(), true); }),
            folder.path() + ": is a folder; expected the name of a file to write");
  EXPECT_EQ(ErrorOf([&] { AtomicFile(folder.File("no/out"), false); }),
            folder.File("no/out") + ": cannot be written: the folder " + folder.File("no") + " does not exist");
}

TEST(AtomicFile, LeavesNothingAtASignalThatEndsTheProcess) {
  const TempDir folder;
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    const pid_t process = ::fork();
    if (process == 0) {
      RemoveUnfinishedFilesAtSignals();
      AtomicFile done(folder.File("done"), /*overwrite=*/true);
      done.Commit();
      AtomicFile first(folder.File("first"), /*overwrite=*/true);
      AtomicFile second(folder.File("second"), /*overwrite=*/true);
      ::raise(signal);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(process, &status, 0), process);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"done"});
  }
}

TEST(AtomicFile, LeavesNothingOfManyFilesAtASignal) {
  const TempDir folder;
  const pid_t process = ::fork();
  if (process == 0) {
    RemoveUnfinishedFilesAtSignals();
    std::vector<std::unique_ptr<AtomicFile>> files;
    for (int i = 0; i < 600; ++i) {
      files.push_back(std::make_unique<AtomicFile>(folder.File(std::to_string(i)), /*overwrite=*/true));
      if (i % 3 == 0) files.erase(files.begin());  // whose place another may take
    }
    ::raise(SIGTERM);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(process, &status, 0), process);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{});
}

TEST(AtomicFile, RefusesWhatIsNoRegularFile) {
  const TempDir folder;
  const std::string path = folder.File("pipe");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  for (const bool overwrite : {false, true}) {
    EXPECT_EQ(ErrorOf<IoError>([&] { AtomicFile file(path, overwrite); }),
              path + ": is not a regular file; expected the name of a file to write");
  }
  EXPECT_TRUE(std::filesystem::is_fifo(path));
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"pipe"});
}

TEST(AtomicFile, LeavesTheOldFileWhenTheDiskIsFull) {
  const TempDir folder;
  const std::string path = folder.Write("out", "old");
  std::string message;
  {
    AtomicFile file(path, true);
    const FileSizeLimit limit(100'000);
    message = ErrorOf([&] {
      file.Write(Bytes(std::string(200'000, 'x')));
      file.Commit();
    });
  }
  ExpectParts(message, {"cannot be written at byte 100000: File too large"});
  EXPECT_EQ(folder.Read("out"), "old");
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"out"});
}

TEST(AtomicFile, ShortensWhatWasWritten) {
  const TempDir folder;
  AtomicFile file(folder.File("out"), false);
  file.Write(Bytes("abcdef"));
  file.Truncate(4);
  file.Commit();
  EXPECT_EQ(folder.Read("out"), "abcd");
}

}  // namespace
}  // namespace coat
