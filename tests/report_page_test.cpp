// `coat report` as a user meets it, and its page in Chromium where that is installed.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/coat_process.h"
#include "tests/support/tiny_run.h"

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

class ReportPageTest : public TinyRun {
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

TEST_F(ReportPageTest, IsNotWrittenOverAFileOfTheRun) {
  const std::string run = WriteRun("a", 3, "run_name: a\n");
  for (const std::string name : {"config.yaml", "metrics.jsonl"}) {
    const std::string before = folder_.Read("a/" + name);
    ExpectFailure(RunCoat({"report", run, "-o", run + "/../a/" + name, "--overwrite"}), 2,
                  {run + "/" + name + ": is both an input and an output"});
    EXPECT_EQ(folder_.Read("a/" + name), before);
  }
}

TEST_F(ReportPageTest, IsNotWrittenForWhatIsNoRun) {
  ExpectFailure(RunCoat({"report", "-o", page_}), 2, {"expected the save folders"});
  ExpectFailure(RunCoat({"report", "a", "./a", "-o", page_}), 2, {"./a is given twice"});
  ExpectFailure(RunCoat({"report", folder_.path(), "-o", page_}), 1, {"found no config.yaml"});
  const std::string run = WriteRun("a", 3, "run_name: a\n");
  const std::set<std::string> before = NamesIn(folder_.path());
  folder_.Write("a/metrics.jsonl", "{\"step\":1}\nnonsense\n");
  ExpectFailure(RunCoat({"report", run, "-o", page_}), 1, {run + "/metrics.jsonl:2: is not a line of metrics"});
  EXPECT_EQ(NamesIn(folder_.path()), before);
}

/// The page in Chromium, headless.
class ReportPageInChromium : public ReportPageTest {
 protected:
  void SetUp() override {
    chromium_ = FindChromium();
    if (chromium_.empty()) GTEST_SKIP() << "chromium is not installed; Debian has it as the package chromium";
  }

  /// The document of the report of these runs, as its scripts leave it. Expects that they say nothing of errors.
  std::string Drawn(const std::vector<std::string>& runs) const {
    std::vector<std::string> arguments = {"report", "-o", page_};
    arguments.insert(arguments.end(), runs.begin(), runs.end());
    const Outcome outcome = RunCoat(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::string dom_file = folder_.File("dom.html"), log_file = folder_.File("log");
    const std::string command = "timeout 120 " + chromium_ +
                                " --headless --no-sandbox --disable-gpu --virtual-time-budget=3000"
                                " --enable-logging=stderr --dump-dom --user-data-dir='" +
                                folder_.File("profile") + "' 'file://" + page_ + "' >'" + dom_file + "' 2>'" +
                                log_file + "'";
    EXPECT_EQ(std::system(command.c_str()), 0) << folder_.Read(log_file);
    EXPECT_EQ(folder_.Read(log_file).find("CONSOLE"), std::string::npos) << folder_.Read(log_file);
    std::string dom = folder_.Read(dom_file);
    EXPECT_NE(Between(dom, {"id=\"error\""}, ">").find("hidden"), std::string::npos) << "the page says that it failed";
    EXPECT_EQ(Count(dom.substr(0, dom.find("<script")), "NaN"), 0u);
    return dom;
  }

  std::string chromium_;
};

TEST_F(ReportPageInChromium, DrawsItsCurvesWithoutErrors) {
  const std::string short_run = WriteRun("short", 20, "run_name: '" + kHostile + "'\nlr: 1\n");
  const std::string long_run = WriteRun("long", 5000, "run_name: long\nlr: 2\n");
  const std::string dom = Drawn({short_run, long_run, WriteRun("none", 0, "run_name: none\n")});
  EXPECT_EQ(Count(dom, "<figure"), 3u) << "training loss, learning rate, validation loss";
  EXPECT_EQ(Count(dom, "class=\"curve\""), 6u) << "of two runs in three charts";
  EXPECT_EQ(Count(dom, "class=\"missing\""), 1u + 125u);
  EXPECT_EQ(Count(dom, "<img"), 0u);
  ExpectParts(dom, {"<th scope=\"row\"><code>lr</code></th>", "Validation loss: &lt;img src=x onerror=alert(1)&gt;"});
  const std::string loss = Between(dom, {"data-metric=\"train/CrossEntropyLoss\"", "data-run=\"0\"", " d=\""}, "\"");
  EXPECT_EQ(Count(loss, "L"), 18u) << "20 steps, of which one has no number";
}

/// The numbers of a metric in metrics.jsonl.
std::vector<double> NumbersOf(const std::string& metrics, const std::string& name) {
  std::vector<double> numbers;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json values = nlohmann::json::parse(line);
    if (values.contains(name)) numbers.push_back(values[name]);
  }
  return numbers;
}

/// The heights in pixels, from above, of a path "M1.0 2.0L3.0 4.0".
std::vector<double> HeightsOf(const std::string& path) {
  std::vector<double> heights;
  for (std::size_t at = 0; (at = path.find(' ', at)) != std::string::npos;)
    heights.push_back(std::stod(path.substr(++at)));
  return heights;
}

TEST_F(ReportPageInChromium, DrawsWhatATrainedRunMeasured) {
  const std::string run = folder_.File("run");
  const Outcome trained = RunCoat(Train("run"));
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const std::string dom = Drawn({run});
  const std::string metrics = folder_.Read("run/metrics.jsonl");
  for (const auto& [name, title] : std::vector<std::pair<std::string, std::string>>{
           {"train/CrossEntropyLoss", "Training loss"},
           {"eval/held-out/CrossEntropyLoss", "Validation loss: held-out"},
           {"optim/learning_rate_group0", "Learning rate"},
           {"optim/total_grad_norm", "Gradient norm"},
           {"throughput/device/tokens_per_second", "Throughput"},
           {"System/Peak CPU Memory (MB)", "Peak memory of the process"}}) {
    const std::string mark = "data-metric=\"" + name + "\"";
    ASSERT_EQ(Count(dom, mark), 1u) << name;
    EXPECT_EQ(Between(dom, {mark, "<figcaption>"}, "<"), title);
    const std::vector<double> numbers = NumbersOf(metrics, name);
    const std::vector<double> heights =
        HeightsOf(Between(dom, {mark, "class=\"curve\" data-run=\"0\"", " d=\""}, "\""));
    ASSERT_GE(numbers.size(), 2u) << name;
    ASSERT_EQ(heights.size(), numbers.size()) << name;
    // The curve is the numbers, larger ones higher, and fills its chart; pixels are written with one digit, so
    // that a point is off by 0.05, and by as much where the two ends put it.
    const auto [least, most] = std::minmax_element(numbers.begin(), numbers.end());
    const double bottom = heights[static_cast<std::size_t>(least - numbers.begin())];
    const double top = heights[static_cast<std::size_t>(most - numbers.begin())];
    if (*least < *most) {
      EXPECT_GT(bottom - top, 100) << name;
    }
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const double share = *least < *most ? (numbers[i] - *least) / (*most - *least) : 0.0;
      EXPECT_NEAR(heights[i], bottom + share * (top - bottom), 0.1 + 1e-9) << name << " at point " << i;
    }
  }
  // The plan of its memory: one bar of one run, whose categories fill it.
  const std::string bar = Between(dom, {"class=\"bar\""}, "</div></div>");
  double percent = 0.0;
  for (std::size_t at = 0; (at = bar.find("width: ", at)) != std::string::npos;)
    percent += std::stod(bar.substr(at += 7));
  EXPECT_NEAR(percent, 100.0, 0.01) << bar;
  ExpectParts(bar, {"title=\"masters: ", "title=\"moments: ", "title=\"saved: "});
}

}  // namespace
}  // namespace coat
