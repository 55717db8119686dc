#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/noise.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

std::string TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(MappedFile, HoldsTheWholeFile) {
  const TempDir folder;
  for (const std::size_t size : {1u, 4095u, 4096u, 4097u, 1'000'003u}) {
    const std::string text = Noise(size);
    const std::string path = folder.Write("a", text);
    for (const ReadOrder order : {ReadOrder::kFrontToBack, ReadOrder::kScattered}) {
      const MappedFile file(path, order);
      EXPECT_EQ(file.path(), path);
      EXPECT_EQ(file.size(), static_cast<std::int64_t>(size));
      EXPECT_TRUE(file.text() == text) << size;
      EXPECT_TRUE(TextOf(file.bytes()) == text) << size;
    }
  }
}

TEST(MappedFile, MayBeEmpty) {
  const TempDir folder;
  const MappedFile file(folder.Write("a", ""));
  EXPECT_EQ(file.size(), 0);
  EXPECT_TRUE(file.bytes().empty());
  EXPECT_EQ(file.text(), "");
  EXPECT_TRUE(file.Range(0, 0).empty());
}

TEST(MappedFile, KeepsItsBytesWhenItMoves) {
  const TempDir folder;
  MappedFile first(folder.Write("a", "text"));
  const MappedFile second(std::move(first));
  EXPECT_EQ(second.text(), "text");
  EXPECT_EQ(TextOf(second.Range(1, 2)), "ex");
  EXPECT_EQ(first.text(), "");  // NOLINT(bugprone-use-after-move): what is left is an empty file
}

TEST(MappedFile, GivesRangesAtAnyPlace) {
  const TempDir folder;
  const std::string text = Noise(20'000);
  const MappedFile file(folder.Write("a", text));
  const std::vector<std::pair<std::int64_t, std::int64_t>> ranges = {{0, 20'000}, {0, 1},      {4095, 2},  {4096, 4096},
                                                                     {8191, 0},   {19'999, 1}, {20'000, 0}};
  for (const auto& [offset, count] : ranges) {
    EXPECT_TRUE(TextOf(file.Range(offset, count)) ==
                text.substr(static_cast<std::size_t>(offset), static_cast<std::size_t>(count)))
        << offset << " + " << count;
  }
}

TEST(MappedFile, RefusesRangesBeyondTheFile) {
  const TempDir folder;
  const MappedFile file(folder.Write("a", "text"));
  constexpr std::int64_t kMost = INT64_MAX;
  const std::vector<std::pair<std::int64_t, std::int64_t>> ranges = {{0, 5},  {4, 1},         {5, 0},     {-1, 1},
                                                                     {1, -1}, {kMost, kMost}, {1, kMost}, {kMost, 1}};
  for (const auto& [offset, count] : ranges) {
    EXPECT_THROW(file.Range(offset, count), ArgumentError) << offset << " + " << count;
  }
}

TEST(MappedFile, ReportsAFileThatBecameShorter) {
  const TempDir folder;
  const std::string path = folder.Write("a", Noise(100'000));
  const MappedFile file(path);
  std::filesystem::resize_file(path, 4096);
  EXPECT_EQ(ErrorOf([&] { file.Range(0, 10); }),
            path + ": has become shorter while in use: 4096 bytes, 100000 when it was opened");
}

TEST(MappedFile, KeepsAFileThatWasReplacedOrRemoved) {
  const TempDir folder;
  const std::string text = Noise(100'000);
  const std::string path = folder.Write("a", text);
  const MappedFile file(path);
  std::filesystem::rename(folder.Write("b", "short"), path);
  EXPECT_TRUE(TextOf(file.Range(0, 100'000)) == text);
  std::filesystem::remove(path);
  EXPECT_TRUE(TextOf(file.Range(0, 100'000)) == text);
}

TEST(MappedFile, RefusesWhatIsNoRegularFileAndDoesNotWaitForPipes) {
  const TempDir folder;
  EXPECT_EQ(ErrorOf([&] { MappedFile{folder.path()}; }), folder.path() + ": is a folder; expected a file");
  const std::string missing = folder.File("missing");
  EXPECT_EQ(ErrorOf([&] { MappedFile{missing}; }), missing + ": cannot be read: No such file or directory");
  const std::string pipe = folder.File("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {pipe, std::string("/dev/zero")}) {
    EXPECT_EQ(ErrorOf([&] { MappedFile{path}; }),
              path + ": is not a regular file; only those can be mapped into memory");
  }
}

}  // namespace
}  // namespace coat
