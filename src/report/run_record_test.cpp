#include "report/run_record.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

TEST(ReadRun, ReadsMetricsByName) {
  const TempDir folder;
  folder.Write("config.yaml", "run_name: first\n");
  folder.Write("metrics.jsonl",
               "{\"step\":1,\"loss\":3.5,\"rate\":1e-4}\n{\"step\":2,\"loss\":null}\n{\"step\":2,\"held/out\":0.1}\n"
               "{\"step\":40,\"loss\":0.3333333333333333}\n{\"step\":41,\"lo");  // the last is being written
  const RunRecord run = ReadRun(folder.path());
  EXPECT_EQ(run.Name(), "first");
  EXPECT_EQ(run.last_step, 40);
  ASSERT_EQ(run.series.size(), 3u);
  EXPECT_EQ(run.series.at("loss").points.steps, (std::vector<std::int64_t>{1, 40}));
  EXPECT_EQ(run.series.at("loss").points.values, (std::vector<double>{3.5, 1.0 / 3.0}));
  EXPECT_EQ(run.series.at("loss").missing, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(run.series.at("held/out").points.values, std::vector<double>{0.1});
}

TEST(ReadRun, TakesARunThatHasJustBegun) {
  const TempDir folder;
  folder.Write("config.yaml", "{}\n");
  folder.Write("metrics.jsonl", "");
  const RunRecord run = ReadRun(folder.path());
  EXPECT_EQ(run.Name(), folder.path());
  EXPECT_EQ(run.last_step, 0);
  EXPECT_TRUE(run.series.empty());
}

TEST(ReadRun, ReadsLinesLongerThanABuffer) {
  const TempDir folder;
  folder.Write("config.yaml", "{}\n");
  std::string line = "{\"step\":7";
  for (int i = 0; line.size() < (3u << 20); ++i) line += ",\"metric " + std::to_string(i) + "\":" + std::to_string(i);
  folder.Write("metrics.jsonl", line + "}\n{\"step\":8,\"metric 9\":1}\n");
  const RunRecord run = ReadRun(folder.path());
  EXPECT_EQ(run.last_step, 8);
  EXPECT_EQ(run.series.at("metric 9").points.values, (std::vector<double>{9, 1}));
}

TEST(ReadRun, RefusesWhatIsNoSaveFolder) {
  const TempDir folder;
  ExpectParts(ErrorOf([&] { ReadRun(folder.path()); }),
              {folder.path() + ": found no config.yaml", "expected the save folder of a run"});
  folder.Write("config.yaml", "run_name: x\n");
  ExpectParts(ErrorOf([&] { ReadRun(folder.path()); }), {"found no metrics.jsonl"});
  ExpectParts(ErrorOf([&] { ReadRun(folder.File("none")); }), {"none: found no config.yaml"});
}

TEST(ReadRun, NamesTheLineThatIsBroken) {
  const TempDir folder;
  folder.Write("config.yaml", "run_name: x\n");
  for (const char* line : {"hello", "", "[1]", "{\"loss\":1}", "{\"step\":\"1\"}", "{\"step\":1.5}", "{\"step\":3",
                           "{\"step\":1,\"loss\":1}", "{\"step\":2,\"loss\":\"low\"}", "{\"step\":2,\"loss\":[1]}"}) {
    const std::string path =
        folder.Write("metrics.jsonl", std::string("{\"step\":2,\"loss\":1}\n") + line + "\n{\"step\":3}\n");
    ExpectParts(ErrorOf([&] { ReadRun(folder.path()); }), {path + ":2: is not a line of metrics: it "});
    EXPECT_THROW(ReadRun(folder.path()), IoError);
  }
}

}  // namespace
}  // namespace coat
