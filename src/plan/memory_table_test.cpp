#include "plan/memory_table.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/load.h"
#include "engine/engine.h"
#include "plan/published_coat.h"
#include "tests/support/tiny_config.h"

namespace coat {
namespace {

TEST(PublishedCoat, KeepsMoreThanWeDo) {
  const std::vector<std::string> no_evaluators = {"--evaluators=[]"};
  const TrainConfig config =
      LoadTrainConfig(COAT_SOURCE_DIR "/configs/coat/OLMo-1B-COAT-Both.yaml", no_evaluators, {.check_paths = false});
  EXPECT_LT(Engine::Measure(config).Bytes("saved"), PublishedCoatPlan(config).Bytes("saved"));
}

TEST(PlanTable, ComparesWithPublishedCoatWhatItKnows) {
  const auto compares = [](const TrainConfig& config, int ranks) {
    const bool in_table = PlanTable(config, ranks).find("COAT as published") != std::string::npos;
    const std::size_t plans = nlohmann::json::parse(PlanJson(config, ranks)).at("plans").size();
    EXPECT_EQ(plans, in_table ? 3u : 2u);
    return in_table;
  };
  EXPECT_TRUE(compares(TinyConfig(), 1));
  EXPECT_FALSE(compares(TinyOlmo2Config(), 1)) << "COAT refuses this architecture";
  EXPECT_FALSE(compares(TinyConfig(), 2)) << "the estimate is of one rank";
}

TEST(PlanJson, HasTheEnginesPlan) {
  const TrainConfig config = TinyConfig();
  const MemoryPlan plan = Engine::Measure(config, 0, 2);
  const auto json = nlohmann::json::parse(PlanJson(config, 2));
  EXPECT_EQ(json.at("ranks"), 2);
  EXPECT_EQ(json.at("strategy"), SharingName(config));
  EXPECT_EQ(json.at("plans").at(0).at("recipe"), plan.recipe);
  EXPECT_EQ(json.at("plans").at(0).at("total"), plan.Total());
  for (const MemoryPlan::Line& line : plan.categories) {
    EXPECT_EQ(json.at("plans").at(0).at("categories").at(line.name), line.bytes);
  }
}

}  // namespace
}  // namespace coat
