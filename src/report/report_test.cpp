#include "report/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "config/dump.h"
#include "engine/engine.h"
#include "report/page.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

using nlohmann::json;

/// What stands in the page for its script to read.
json DataIn(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const std::size_t start = page.find(begin) + begin.size();
  return json::parse(page.substr(start, page.find("</script", start) - start));
}

class Report : public testing::Test {
 protected:
  RunRecord Write(const std::string& name, const std::string& config, const std::string& metrics) {
    folder_.Write(name + "/config.yaml", config);
    folder_.Write(name + "/metrics.jsonl", metrics);
    return ReadRun(folder_.File(name));
  }

  TempDir folder_;
};

TEST_F(Report, HoldsTheMetricsToTheLastBit) {
  const std::vector<double> losses = {11.012345678901234, 1.0 / 3.0, 5e-324, -1.7976931348623157e308, 0.1};
  std::string metrics;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    metrics += json({{"step", 10 * i + 1}, {"train/CrossEntropyLoss", losses[i]}, {"optim/exp_avg/w.norm", 1}}).dump() +
               "\n{\"step\":" + std::to_string(10 * i + 2) + ",\"train/CrossEntropyLoss\":null}\n";
  }
  const json data = DataIn(ReportPage(std::vector{Write("a", "run_name: a\n", metrics)}));
  const json& run = data.at("runs").at(0);
  EXPECT_EQ(run.at("name"), "a");
  EXPECT_EQ(run.at("last_step"), 42);
  const json& series = run.at("series").at("train/CrossEntropyLoss");
  EXPECT_EQ(series.at("values").get<std::vector<double>>(), losses);
  EXPECT_EQ(series.at("steps"), json({1, 11, 21, 31, 41}));
  EXPECT_EQ(series.at("missing"), json({{"count", 5}, {"steps", {2, 12, 22, 32, 42}}}));
  EXPECT_EQ(series.at("summary").at("least"), losses[3]);
  EXPECT_EQ(run.at("series").size(), 1u);
  EXPECT_EQ(data.at("left_out"), 1);
}

TEST_F(Report, ThinsLongSeriesAndCountsAllOfThemInItsTables) {
  std::string metrics;
  for (int step = 1; step <= 100'000; ++step) {
    metrics += "{\"step\":" + std::to_string(step) + ",\"a\":" + std::to_string(step == 54'321 ? 99 : step % 7) + "}\n";
  }
  const std::string page = ReportPage(std::vector{Write("a", "{}\n", metrics)});
  EXPECT_LT(page.size(), 200'000u);
  const json series = DataIn(page).at("runs").at(0).at("series").at("a");
  EXPECT_LE(series.at("steps").size(), kMostPointsOfACurve + 2);
  EXPECT_EQ(series.at("means").at("steps").size(), kMostPointsOfACurve / 2);
  const auto steps = series.at("steps").get<std::vector<int>>();
  const auto spike = std::find(steps.begin(), steps.end(), 54'321);
  ASSERT_NE(spike, steps.end());
  EXPECT_EQ(series.at("values").at(static_cast<std::size_t>(spike - steps.begin())), 99);
  EXPECT_EQ(series.at("summary").at("most"), 99);
  EXPECT_EQ(series.at("summary").at("median"), 3);
}

TEST_F(Report, HasTheRunsPlansAndTheDifferencesOfTheirConfigurations) {
  TrainConfig config = TinyConfig();
  config.run_name = "bf16";
  config.model.attention_dropout = config.model.residual_dropout = config.model.embedding_dropout = 0;
  config.model.include_bias = config.model.layer_norm_with_affine = false;
  config.model.eos_token_id = config.model.pad_token_id = 60;
  const RunRecord bf16 = Write("a", Dump(config), "");
  const MemoryPlan plan = Engine::Measure(config);
  config.run_name = "coat";
  UseCoatOptimizer(config);
  const RunRecord coat = Write("b", Dump(config), "");
  const json data = DataIn(ReportPage(std::vector{bf16, coat, Write("c", "no_such_key: 1\n", "")}));
  const json& memory = data.at("runs").at(0).at("memory");
  ASSERT_TRUE(memory.contains("total")) << memory;
  EXPECT_EQ(memory.at("total"), plan.Total()) << memory;
  EXPECT_EQ(memory.at("categories").at(3), json({"moments", plan.Bytes("moments")}));
  EXPECT_LT(data.at("runs").at(1).at("memory").at("total"), plan.Total());
  EXPECT_NE(data.at("runs").at(2).at("memory").at("error").get<std::string>().find("no_such_key"), std::string::npos);

  const json two = DataIn(ReportPage(std::vector{bf16, coat})).at("differences");
  EXPECT_EQ(two.at(0), json({{"key", "run_name"}, {"values", {"bf16", "coat"}}}));
  std::vector<std::string> keys;
  for (const json& difference : two) keys.push_back(difference.at("key"));
  EXPECT_EQ(keys, (std::vector<std::string>{"run_name", "quantize_optimizer.use_quantize_optimizer",
                                            "quantize_optimizer.first_order_expansion",
                                            "quantize_optimizer.second_order_expansion"}));
}

TEST_F(Report, NoNameEndsTheScriptThatHoldsTheData) {
  const std::string hostile = "</script><script>alert(1)</script><!--<script>";
  const std::string metric =
      json("eval/" + hostile + "\xff\xe2\x80\xa8/CrossEntropyLoss").dump(-1, ' ', true, json::error_handler_t::replace);
  const RunRecord run = Write("a", "run_name: '" + hostile + "'\n", "{\"step\":1," + metric + ":2}\n");
  const std::string page = ReportPage(std::vector{run, Write("b", "{}\n", "")});
  const auto count = [](std::string_view text, std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; ++at) ++found;
    return found;
  };
  for (const char* mark : {"<script", "</script", "<!--"}) EXPECT_EQ(count(page, mark), count(ReportTemplate(), mark));
  const json data = DataIn(page);
  EXPECT_EQ(data.at("runs").at(0).at("name"), hostile);
  EXPECT_TRUE(
      data.at("runs").at(0).at("series").contains("eval/" + hostile + "\xef\xbf\xbd\xe2\x80\xa8/CrossEntropyLoss"));
  EXPECT_EQ(data.at("differences").at(0).at("values").at(0), hostile);
}

TEST_F(Report, TellsRunsOfTheSameNameApart) {
  const json data = DataIn(ReportPage(std::vector{Write("a", "run_name: x\n", ""), Write("b", "run_name: x\n", "")}));
  EXPECT_EQ(data.at("runs").at(0).at("name"), "x (" + folder_.File("a") + ")");
  EXPECT_EQ(data.at("runs").at(1).at("name"), "x (" + folder_.File("b") + ")");
}

TEST_F(Report, NeedsNoOtherFile) {
  for (const char* mark : {"http:", "https:", "src=", "href=\"/", "@import", "url(\""}) {
    std::string page(ReportTemplate());
    const std::string name = "http://www.w3.org/2000/svg";  // a name, not an address
    page.replace(page.find(name), name.size(), "");
    EXPECT_EQ(page.find(mark), std::string::npos) << mark;
  }
}

}  // namespace
}  // namespace coat
