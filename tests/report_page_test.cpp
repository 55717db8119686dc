// `coat report` as a user meets it, and its page in Chromium where that is installed.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <string>

#include "tests/support/coat_process.h"

namespace coat {
namespace {

std::size_t Count(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

/// What stands behind the marks, each behind the one before it, up to `end`.
std::string Between(const std::string& text, std::initializer_list<std::string_view> marks, std::string_view end) {
  std::size_t at = 0;
  for (const std::string_view mark : marks) at = text.find(mark, at) + mark.size();
  return text.substr(at, text.find(end, at) - at);
}

/// The first of Chromium's names that is a program; nothing if none is.
std::string FindChromium() {
  for (const char* program : {"chromium", "chromium-browser", "google-chrome"}) {
    const std::string command = std::string("command -v ") + program + " >/dev/null";
    if (std::system(command.c_str()) == 0) return program;
  }
  return "";
}

class ReportPageTest : public testing::Test {
 protected:
  /// A save folder with `steps` lines of metrics, of which the last one evaluates.
  std::string WriteRun(const std::string& name, int steps, const std::string& config) const {
    std::string metrics;
    for (int step = 1; step <= steps; ++step) {
      const std::string loss = step % 40 == 7 ? "null" : std::to_string(2 + 9.0 / step);
      metrics += "{\"step\":" + std::to_string(step) + ",\"train/CrossEntropyLoss\":" + loss +
                 ",\"optim/learning_rate_group0\":0,\"throughput/total_tokens\":" + std::to_string(step * 4096) +
                 (step == steps ? ",\"eval/" + kHostile + "/CrossEntropyLoss\":3.5}\n" : "}\n");
    }
    folder_.Write(name + "/config.yaml", config);
    folder_.Write(name + "/metrics.jsonl", metrics);
    return folder_.File(name);
  }

  const std::string kHostile = "<img src=x onerror=alert(1)>";
  TempDir folder_;
  std::string page_ = folder_.File("report.html");
};

TEST_F(ReportPageTest, IsWrittenOnceAndReplacedOnlyWhenAsked) {
  const std::string run = WriteRun("a", 3, "run_name: a\n");
  const Outcome outcome = RunCoat({"report", run, "-o", page_});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "1 run in " + page_ + "\n");
  const std::string first = folder_.Read(page_);
  WriteRun("a", 4, "run_name: a\n");
  ExpectFailure(RunCoat({"report", run, "-o", page_}), 1, {page_, "exists"});
  EXPECT_EQ(folder_.Read(page_), first);
  EXPECT_EQ(RunCoat({"report", run, "-o", page_, "--overwrite"}).exit_code, 0);
  EXPECT_NE(folder_.Read(page_), first);
}

TEST_F(ReportPageTest, IsNotWrittenForWhatIsNoRun) {
  ExpectFailure(RunCoat({"report", "-o", page_}), 2, {"expected the save folders"});
  ExpectFailure(RunCoat({"report", "a", "./a", "-o", page_}), 2, {"./a is given twice"});
  ExpectFailure(RunCoat({"report", folder_.path(), "-o", page_}), 1, {"found no config.yaml"});
  const std::string run = WriteRun("a", 3, "run_name: a\n");
  folder_.Write("a/metrics.jsonl", "{\"step\":1}\nnonsense\n");
  ExpectFailure(RunCoat({"report", run, "-o", page_}), 1, {run + "/metrics.jsonl:2: is not a line of metrics"});
  EXPECT_EQ(NamesIn(folder_.path()), std::set<std::string>{"a"});
}

TEST_F(ReportPageTest, DrawsItsCurvesInChromiumWithoutErrors) {
  const std::string chromium = FindChromium();
  if (chromium.empty()) GTEST_SKIP() << "chromium is not installed; Debian has it as the package chromium";
  const std::string short_run = WriteRun("short", 20, "run_name: '" + kHostile + "'\nlr: 1\n");
  const std::string long_run = WriteRun("long", 5000, "run_name: long\nlr: 2\n");
  ASSERT_EQ(RunCoat({"report", short_run, long_run, WriteRun("none", 0, "run_name: none\n"), "-o", page_}).exit_code,
            0);
  const std::string dom_file = folder_.File("dom.html"), log_file = folder_.File("log");
  const std::string command = "timeout 120 " + chromium +
                              " --headless --no-sandbox --disable-gpu --virtual-time-budget=3000"
                              " --enable-logging=stderr --dump-dom --user-data-dir='" +
                              folder_.File("profile") + "' 'file://" + page_ + "' >'" + dom_file + "' 2>'" + log_file +
                              "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << folder_.Read(log_file);
  EXPECT_EQ(folder_.Read(log_file).find("CONSOLE"), std::string::npos) << folder_.Read(log_file);
  const std::string dom = folder_.Read(dom_file);
  EXPECT_NE(Between(dom, {"id=\"error\""}, ">").find("hidden"), std::string::npos) << "the page says that it failed";
  EXPECT_EQ(Count(dom, "<figure"), 3u) << "training loss, learning rate, validation loss";
  EXPECT_EQ(Count(dom, "class=\"curve\""), 6u) << "of two runs in three charts";
  EXPECT_EQ(Count(dom, "class=\"missing\""), 1u + 125u);
  EXPECT_EQ(Count(dom.substr(0, dom.find("<script")), "NaN"), 0u);
  EXPECT_EQ(Count(dom, "<img"), 0u);
  ExpectParts(dom, {"<th scope=\"row\"><code>lr</code></th>", "Validation loss: &lt;img src=x onerror=alert(1)&gt;"});
  const std::string loss = Between(dom, {"data-metric=\"train/CrossEntropyLoss\"", "data-run=\"0\"", " d=\""}, "\"");
  EXPECT_EQ(Count(loss, "L"), 18u) << "20 steps, of which one has no number";
}

}  // namespace
}  // namespace coat
