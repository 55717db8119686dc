#include "output/metrics_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <limits>
#include <string>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

Metrics SomeMetrics(double value) {
  Metrics metrics;
  metrics.Set("train/CrossEntropyLoss", value);
  metrics.Set("throughput/total_tokens", 4096);
  return metrics;
}

std::string LinesUpTo(std::int64_t last_step) {
  std::string text;
  for (std::int64_t step = 1; step <= last_step; ++step) text += MetricsLine(step, SomeMetrics(1.0 / step));
  return text;
}

TEST(MetricsLine, HasEveryDigit) {
  Metrics metrics;
  metrics.Set("a", 0.1);
  metrics.Set("b", 1.0 / 3.0);
  metrics.Set("c", 515899392);
  metrics.Set("d", -1e-300);
  metrics.Set("e", 1e300);
  EXPECT_EQ(MetricsLine(12, metrics),
            "{\"step\":12,\"a\":0.1,\"b\":0.3333333333333333,\"c\":515899392,\"d\":-1e-300,\"e\":1e+300}\n");
}

TEST(MetricsLine, WritesNullForWhatJsonHasNoNumberFor) {
  Metrics metrics;
  metrics.Set("a", std::numeric_limits<double>::quiet_NaN());
  metrics.Set("b", std::numeric_limits<double>::infinity());
  metrics.Set("c", -std::numeric_limits<double>::infinity());
  EXPECT_EQ(MetricsLine(0, metrics), "{\"step\":0,\"a\":null,\"b\":null,\"c\":null}\n");
}

TEST(MetricsLine, QuotesNames) {
  Metrics metrics;
  metrics.Set("eval/say \"c4\"\\\n/Loss", 1);
  EXPECT_EQ(MetricsLine(1, metrics), "{\"step\":1,\"eval/say \\\"c4\\\"\\\\\\u000a/Loss\":1}\n");
}

TEST(MetricsFile, HasALineAStepAtOnce) {
  const TempDir folder;
  MetricsFile file(folder.File("metrics.jsonl"), 0, false);
  EXPECT_EQ(folder.Read("metrics.jsonl"), "");
  file.Write(1, SomeMetrics(1.0));
  EXPECT_EQ(folder.Read("metrics.jsonl"), LinesUpTo(1));
  file.Write(2, SomeMetrics(0.5));
  file.Flush();
  EXPECT_EQ(folder.Read("metrics.jsonl"), LinesUpTo(2));
}

TEST(MetricsFile, KnowsWhatItHasOfTheStepThatTheRunGoesOnFrom) {
  const TempDir folder;
  Metrics evaluation;
  evaluation.Set("eval/a \"b\"/Loss", 2.0);
  const std::string path = folder.Write("metrics.jsonl", LinesUpTo(3) + MetricsLine(3, evaluation) + LinesUpTo(1));
  {
    const MetricsFile file(path, 3, false);
    for (const char* name : {"train/CrossEntropyLoss", "eval/a \"b\"/Loss"}) EXPECT_TRUE(file.HasAtStart(name)) << name;
    for (const char* name : {"train/", "b\"/Loss", "eval/b/Loss", "step"}) EXPECT_FALSE(file.HasAtStart(name)) << name;
    EXPECT_TRUE(file.HasPrefixAtStart("eval/"));
    EXPECT_FALSE(file.HasPrefixAtStart("optim/"));
  }
  EXPECT_FALSE(MetricsFile(path, 2, false).HasPrefixAtStart("eval/")) << "cut off";
  EXPECT_FALSE(MetricsFile(path, 0, true).HasAtStart("train/CrossEntropyLoss"));
}

TEST(MetricsFile, OfARunThatGoesOnEqualsThatOfOneThatWasNotInterrupted) {
  const TempDir folder;
  const std::string whole = LinesUpTo(9);
  for (std::size_t size = LinesUpTo(4).size(); size <= whole.size(); ++size) {  // killed at any byte after step 4
    const std::string path = folder.Write("metrics.jsonl", whole.substr(0, size));
    MetricsFile file(path, 4, size % 2 == 0);
    EXPECT_EQ(folder.Read(path), LinesUpTo(4));
    for (std::int64_t step = 5; step <= 9; ++step) file.Write(step, SomeMetrics(1.0 / step));
    ASSERT_EQ(folder.Read(path), whole) << "killed after " << size << " bytes";
  }
}

TEST(MetricsFile, KeepsSeveralLinesOfOneStepAndStepsThatWereLeftOut) {
  const TempDir folder;
  const std::string kept = MetricsLine(10, SomeMetrics(3)) + MetricsLine(20, SomeMetrics(2)) + MetricsLine(20, {});
  const std::string path = folder.Write("metrics.jsonl", kept + MetricsLine(30, SomeMetrics(1)));
  const MetricsFile file(path, 25, false);
  EXPECT_EQ(folder.Read(path), kept);
}

TEST(MetricsFile, LongerThanABufferIsCutInTheRightPlace) {
  const TempDir folder;
  const std::string kept = LinesUpTo(40000);
  ASSERT_GT(kept.size(), 2u << 20);
  const std::string path = folder.Write("metrics.jsonl", kept + MetricsLine(40001, SomeMetrics(1)));
  const MetricsFile file(path, 40000, false);
  EXPECT_EQ(folder.Read(path), kept);
}

TEST(MetricsFile, OfARunThatGoesOnElsewhereIsNew) {
  const TempDir folder;
  MetricsFile file(folder.File("metrics.jsonl"), 7, false);
  file.Write(8, SomeMetrics(0.125));
  EXPECT_EQ(folder.Read("metrics.jsonl"), MetricsLine(8, SomeMetrics(0.125)));
}

TEST(MetricsFile, OfANewRunReplacesAnotherOnlyWhenAsked) {
  const TempDir folder;
  const std::string path = folder.Write("metrics.jsonl", LinesUpTo(3));
  ExpectParts(ErrorOf([&] { MetricsFile(path, 0, false); }), {path, "exists already", "save_overwrite"});
  EXPECT_EQ(folder.Read(path), LinesUpTo(3));
  MetricsFile(path, 0, true);
  EXPECT_EQ(folder.Read(path), "");
  MetricsFile(path, 0, false);  // nothing to lose
}

TEST(MetricsFile, RefusesToCutAFileThatIsNotOurs) {
  const TempDir folder;
  for (const char* line : {"hello", "{\"loss\":1}", "{\"step\":x}", "{\"step\":1", "{\"step\":-1}", "{\"step\":1 }",
                           "{\"step\":99999999999999999999}", ""}) {
    const std::string text = LinesUpTo(1) + line + "\n" + LinesUpTo(3);
    const std::string path = folder.Write("metrics.jsonl", text);
    ExpectParts(ErrorOf([&] { MetricsFile(path, 2, true); }), {path + ":2:", "expected {\"step\":N,...}"});
    EXPECT_EQ(folder.Read(path), text);
  }
}

TEST(MetricsFile, CutsOffADamagedLineThatNoKeptOneFollows) {
  const TempDir folder;
  for (const std::string& rest : {std::string(), MetricsLine(3, SomeMetrics(1)), std::string("{\"st")}) {
    const std::string path = folder.Write("metrics.jsonl", LinesUpTo(2) + "{\"step\":3,\n\n" + rest);
    const MetricsFile file(path, 2, false);
    EXPECT_EQ(folder.Read(path), LinesUpTo(2));
    EXPECT_EQ(file.damaged_line(), 3);
  }
  const std::string whole = folder.Write("metrics.jsonl", LinesUpTo(3) + "damaged\n");
  EXPECT_FALSE(MetricsFile(whole, 2, false).damaged_line()) << "a line of a step to come stands before it";
  const std::string foreign = folder.Write("notes.txt", "hello\n");
  ExpectParts(ErrorOf([&] { MetricsFile(foreign, 2, true); }), {foreign + ":1:"});
  EXPECT_EQ(folder.Read(foreign), "hello\n");
}

TEST(MetricsFile, SaysWhatIsWrongWithItsPath) {
  const TempDir folder;
  EXPECT_THROW(MetricsFile(folder.File("missing/metrics.jsonl"), 0, false), IoError);
  ExpectParts(ErrorOf([&] { MetricsFile(folder.path(), 0, true); }), {folder.path()});
  ExpectParts(ErrorOf([&] { MetricsFile(folder.path(), 1, true); }), {folder.path()});
}

TEST(MetricsFile, ReportsThatItCannotGrow) {
  const TempDir folder;
  MetricsFile file(folder.File("metrics.jsonl"), 0, false);
  file.Write(1, SomeMetrics(1.0));
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = LinesUpTo(1).size() + 10;
  auto* const old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string message = ErrorOf([&] { file.Write(2, SomeMetrics(0.5)); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  ExpectParts(message, {file.path(), "cannot be written"});
  const MetricsFile next(file.path(), 1, false);
  EXPECT_EQ(folder.Read("metrics.jsonl"), LinesUpTo(1));
}

}  // namespace
}  // namespace coat
