#include "base/file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

TEST(ParentFolder, IsWhatStandsBeforeTheLastSlash) {
  EXPECT_EQ(ParentFolder("a"), ".");
  EXPECT_EQ(ParentFolder("a/b"), "a");
  EXPECT_EQ(ParentFolder("/a"), "/");
  EXPECT_EQ(ParentFolder("/a/b/c"), "/a/b");
}

TEST(MakeFolders, MakesThoseAboveAndAcceptsWhatExists) {
  const TempDir folder;
  MakeFolders(folder.File("a/b/c"));
  MakeFolders(folder.File("a/b/c"));
  EXPECT_TRUE(fs::is_directory(folder.File("a/b/c")));
  const std::string below_file = folder.Write("file", "") + "/d";
  EXPECT_EQ(ErrorOf([&] { MakeFolders(below_file); }), below_file + ": cannot be made a folder: Not a directory");
}

TEST(Rename, ReplacesFilesAndEmptyFoldersOnly) {
  const TempDir folder;
  folder.Write("old", "old");
  Rename(folder.Write("new", "new"), folder.File("old"));
  EXPECT_EQ(folder.Read("old"), "new");
  EXPECT_FALSE(fs::exists(folder.File("new")));

  folder.Write("from/file", "from");
  fs::create_directory(folder.File("to"));
  Rename(folder.File("from"), folder.File("to"));
  EXPECT_EQ(folder.Read("to/file"), "from");

  folder.Write("from/file", "again");
  EXPECT_EQ(ErrorOf([&] { Rename(folder.File("from"), folder.File("to")); }),
            folder.File("from") + ": cannot be renamed to " + folder.File("to") + ": Directory not empty");
  EXPECT_EQ(folder.Read("to/file"), "from");
}

TEST(SyncFolder, ReportsWhatIsNoFolder) {
  const TempDir folder;
  SyncFolder(folder.path());
  const std::string file = folder.Write("file", "");
  EXPECT_EQ(ErrorOf([&] { SyncFolder(file); }), file + ": cannot be opened: Not a directory");
  EXPECT_EQ(ErrorOf([&] { SyncParentFolder(folder.File("missing/file")); }),
            folder.File("missing") + ": cannot be opened: No such file or directory");
}

TEST(SyncFolder, PassesOverAFolderThatMayNotBeOpened) {
  const TempDir folder;
  constexpr uid_t kNobody = 65534;  // root may open every folder
  const uid_t user = ::geteuid();
  ASSERT_EQ(::chmod(folder.path().c_str(), S_IWUSR | S_IXUSR), 0);
  ASSERT_TRUE(user != 0 || ::chown(folder.path().c_str(), kNobody, static_cast<gid_t>(-1)) == 0);
  ASSERT_TRUE(user != 0 || ::seteuid(kNobody) == 0);
  EXPECT_THROW(fs::directory_iterator{folder.path()}, fs::filesystem_error);
  EXPECT_NO_THROW(SyncFolder(folder.path()));
  ASSERT_EQ(::seteuid(user), 0);
  ASSERT_EQ(::chmod(folder.path().c_str(), S_IRWXU), 0);
}

TEST(FolderLock, HoldsTheFolderUntilItGoesAway) {
  const TempDir folder;
  {
    const FolderLock first(folder.path());
    EXPECT_FALSE(first.is_taken());
    EXPECT_TRUE(FolderLock(folder.path()).is_taken());
    EXPECT_TRUE(FolderLock(folder.path()).is_taken()) << "who was refused gives nothing free";
  }
  EXPECT_FALSE(FolderLock(folder.path()).is_taken());
  EXPECT_FALSE(FolderLock(folder.File("missing")).is_taken());
}

TEST(FolderLock, KnowsWhenThePathLeadsElsewhere) {
  const TempDir folder;
  fs::create_directory(folder.File("held"));
  const FolderLock lock(folder.File("held"));
  EXPECT_FALSE(lock.IsLost());
  folder.Write("held/file", "");
  EXPECT_FALSE(lock.IsLost());
  fs::rename(folder.File("held"), folder.File("moved"));
  EXPECT_TRUE(lock.IsLost());
  fs::create_directory(folder.File("held"));
  EXPECT_TRUE(lock.IsLost()) << "another of its name";
  fs::remove(folder.File("held"));
  fs::rename(folder.File("moved"), folder.File("held"));
  EXPECT_FALSE(lock.IsLost());
  fs::remove_all(folder.File("held"));
  fs::create_directory(folder.File("held"));
  EXPECT_TRUE(lock.IsLost()) << "a number that is free again is not of the folder that is held open";
  EXPECT_FALSE(FolderLock(folder.File("missing")).IsLost()) << "there was none";
}

}  // namespace
}  // namespace coat
