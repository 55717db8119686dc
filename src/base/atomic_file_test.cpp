#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thrown_message.h"

namespace coat {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::size_t FilesIn(const TempDir& folder) {
  const std::filesystem::directory_iterator files(folder.path());
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

/// Makes writes beyond `bytes` fail with EFBIG, as a full disk makes them fail, until the end of the scope.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_ = {};
};

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
  EXPECT_EQ(FilesIn(folder), 1u);
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TempDir folder;
  { AtomicFile(folder.File("out"), false).Write(Bytes("abc")); }
  EXPECT_EQ(FilesIn(folder), 0u);
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
  EXPECT_EQ(ThrownMessage<IoError>([&] { AtomicFile(path, false); }),
            path + ": exists already; nothing was overwritten");
  EXPECT_EQ(folder.Read("out"), "old");
}

TEST(AtomicFile, RefusesAFileThatAppearsWhileItIsWritten) {
  const TempDir folder;
  AtomicFile file(folder.File("out"), false);
  file.Write(Bytes("new"));
  folder.Write("out", "old");
  EXPECT_EQ(ThrownMessage<IoError>([&] { file.Commit(); }),
            folder.File("out") + ": exists already; nothing was overwritten");
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
  EXPECT_EQ(ThrownMessage<IoError>([&] { AtomicFile(folder.path(), true); }),
            folder.path() + ": is a folder; expected the name of a file to write");
  EXPECT_EQ(ThrownMessage<IoError>([&] { AtomicFile(folder.File("no/out"), false); }),
            folder.File("no/out") + ": cannot be written: the folder " + folder.File("no") + " does not exist");
}

TEST(AtomicFile, LeavesTheOldFileWhenTheDiskIsFull) {
  const TempDir folder;
  const std::string path = folder.Write("out", "old");
  std::string message;
  {
    AtomicFile file(path, true);
    const FileSizeLimit limit(100'000);
    message = ThrownMessage<IoError>([&] {
      file.Write(Bytes(std::string(200'000, 'x')));
      file.Commit();
    });
  }
  EXPECT_NE(message.find("cannot be written at byte 100000: File too large"), std::string::npos) << message;
  EXPECT_EQ(folder.Read("out"), "old");
  EXPECT_EQ(FilesIn(folder), 1u);
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
