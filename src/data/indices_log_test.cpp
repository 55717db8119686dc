#include "data/indices_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/gzip.h"
#include "tests/support/temp_dir.h"
#include "text/input_file.h"

namespace coat {
namespace {

std::string Text(const std::string& path) {
  InputFile file(path);
  std::string text;
  std::vector<std::byte> piece(1000);
  while (const std::size_t count = file.Read(piece)) {
    text.append(reinterpret_cast<const char*>(piece.data()), count);
  }
  return text;
}

void Record(DataIndexLog& log, std::int64_t first_step, std::int64_t last_step) {
  for (std::int64_t step = first_step; step <= last_step; ++step) {
    log.Add(step, std::vector<std::int64_t>{10 * step, 10 * step + 1, 4'294'967'293});
  }
}

std::string Lines(std::int64_t first_step, std::int64_t last_step) {
  std::string lines;
  for (std::int64_t step = first_step; step <= last_step; ++step) {
    lines += std::to_string(step) + "\t" + std::to_string(10 * step) + "\t" + std::to_string(10 * step + 1) +
             "\t4294967293\n";
  }
  return lines;
}

TEST(DataIndexLog, WritesALineAStepAndMakesItsFolder) {
  const TempDir folder;
  const std::string path = folder.File("data-indices/rank0.tsv.gz");
  DataIndexLog log(path, 0, false);
  Record(log, 1, 3);
  EXPECT_EQ(folder.Read(path), "");
  log.Flush();
  EXPECT_EQ(Text(path), Lines(1, 3));  // while it is still open
  Record(log, 4, 4);
  log.Flush();
  log.Flush();
  EXPECT_EQ(Text(path), Lines(1, 4));
}

TEST(DataIndexLog, FlushesAtTheEnd) {
  const TempDir folder;
  const std::string path = folder.File("rank0.tsv.gz");
  {
    DataIndexLog log(path, 0, false);
    Record(log, 1, 3);
  }
  EXPECT_EQ(Text(path), Lines(1, 3));
}

TEST(DataIndexLog, FlushesByItselfWhenMuchHasGathered) {
  const TempDir folder;
  const std::string path = folder.File("rank0.tsv.gz");
  DataIndexLog log(path, 0, false);
  log.Add(1, std::vector<std::int64_t>(1'000'000, 1'000'000));
  EXPECT_GT(std::filesystem::file_size(path), 0u);
}

TEST(DataIndexLog, AppendsWhenARunGoesOn) {
  const TempDir folder;
  const std::string path = folder.File("rank0.tsv.gz");
  // Checkpoints after steps 4 and 8; then steps 9 and 10 are done, and the run dies.
  {
    DataIndexLog log(path, 0, false);
    Record(log, 1, 4);
    log.Flush();
    Record(log, 5, 8);
    log.Flush();
    Record(log, 9, 10);
  }
  {
    DataIndexLog log(path, 8, false);
    EXPECT_EQ(Text(path), Lines(1, 8));
    Record(log, 9, 12);
  }
  EXPECT_EQ(Text(path), Lines(1, 12));
}

TEST(DataIndexLog, GoesOnFromEveryStep) {
  for (std::int64_t steps_done = 1; steps_done <= 12; ++steps_done) {
    const TempDir folder;
    const std::string path = folder.File("rank0.tsv.gz");
    {
      DataIndexLog log(path, 0, false);
      Record(log, 1, 3);
      log.Flush();
      Record(log, 4, 9);
      log.Flush();
      Record(log, 10, 10);
    }
    { DataIndexLog(path, steps_done, false); }
    EXPECT_EQ(Text(path), Lines(1, std::min<std::int64_t>(steps_done, 10)));
    { DataIndexLog(path, steps_done, false).Add(11, std::vector<std::int64_t>{}); }
    EXPECT_EQ(Text(path), Lines(1, std::min<std::int64_t>(steps_done, 10)) + "11\n");
  }
}

TEST(DataIndexLog, SurvivesAKillInTheMiddleOfAWrite) {
  const std::string first = Gzip(Lines(1, 4));
  const std::string second = Gzip(Lines(5, 2000));
  for (std::size_t cut = 0; cut < second.size(); cut += cut < 100 ? 1 : 97) {
    const TempDir folder;
    const std::string path = folder.Write("rank0.tsv.gz", first + second.substr(0, cut));
    { DataIndexLog(path, 4, false); }
    EXPECT_EQ(Text(path), Lines(1, 4));
  }
}

TEST(DataIndexLog, SavesWhatCanBeReadOfALogThatOlmoDidNotClose) {
  const TempDir folder;
  const std::string gzip = Gzip(Lines(1, 30'000));
  const std::string path = folder.Write("rank0.tsv.gz", gzip.substr(0, gzip.size() * 3 / 4));
  { DataIndexLog(path, 30'000, false); }
  const std::string kept = Text(path);
  EXPECT_GT(kept.size(), Lines(1, 20'000).size());
  EXPECT_LT(kept.size(), Lines(1, 30'000).size());
  EXPECT_EQ(kept.back(), '\n');
  EXPECT_TRUE(Lines(1, 30'000).starts_with(kept));
  { DataIndexLog(path, 9'000, false); }
  EXPECT_TRUE(Text(path) == Lines(1, 9'000));
}

TEST(DataIndexLog, StartsWhereNoneWasBefore) {
  const TempDir folder;
  const std::string path = folder.File("rank0.tsv.gz");
  {
    DataIndexLog log(path, 100, false);
    Record(log, 101, 102);
  }
  EXPECT_EQ(Text(path), Lines(101, 102));
}

TEST(DataIndexLog, OverwritesAnotherRunsLogOnlyWhenToldTo) {
  const TempDir folder;
  const std::string path = folder.Write("rank0.tsv.gz", Gzip(Lines(1, 3)));
  EXPECT_EQ(ErrorOf([&] { DataIndexLog(path, 0, false); }), path + ": exists already; nothing was overwritten");
  EXPECT_EQ(Text(path), Lines(1, 3));
  {
    DataIndexLog log(path, 0, true);
    Record(log, 1, 1);
  }
  EXPECT_EQ(Text(path), Lines(1, 1));
}

TEST(DataIndexLog, RefusesAFileThatIsNoLogAndLeavesIt) {
  const TempDir folder;
  const std::string text = folder.Write("text", "1\t2\n");
  EXPECT_EQ(ErrorOf([&] { DataIndexLog(text, 1, false); }),
            text + ": is not a log of data indices: it does not begin with gzip data");
  EXPECT_EQ(folder.Read("text"), "1\t2\n");
  for (const char* lines : {"hello\n", "1\t2", "\n", "12x\t3\n", "1\t2\n\t3\n", "99999999999999999999\t1\n"}) {
    const std::string other = folder.Write("other", Gzip(lines));
    EXPECT_EQ(ErrorOf([&] { DataIndexLog(other, 1, false); }),
              other + ": is not a log of data indices: a line does not begin with its step");
    EXPECT_EQ(Text(other), lines);
  }
}

TEST(DataIndexLog, ReportsAFolderThatCannotBeMade) {
  const TempDir folder;
  folder.Write("file", "");
  const std::string path = folder.File("file/rank0.tsv.gz");
  EXPECT_EQ(ErrorOf([&] { DataIndexLog(path, 0, false); }),
            folder.File("file") + ": cannot be made a folder: Not a directory");
}

}  // namespace
}  // namespace coat
