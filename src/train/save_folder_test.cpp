#include "train/save_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/error_of.h"
#include "tests/support/one_rank.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

TrainConfig ConfigOf(const std::string& folder) {
  TrainConfig config;
  config.save_folder = folder;
  return config;
}

TEST(SaveFolder, ThatARankDoesNotShareIsRefusedByAll) {
  const TempDir folder;
  fs::create_directory(folder.File("own"));
  for (const char* const other : {"own", "missing"}) {
    std::vector<std::string> messages(3);
    RunAsRanks(3, [&](Communicator& ranks) {
      Console console({.is_silent = true});
      const TrainConfig config = ConfigOf(folder.File(ranks.rank() == 2 ? other : "shared"));
      messages[static_cast<std::size_t>(ranks.rank())] =
          ErrorOf<ConfigError>([&] { const SaveFolder opened(config, console, ranks); });
    });
    EXPECT_EQ(std::set<std::string>(messages.begin(), messages.end()).size(), 1u);
    ExpectParts(messages[0], {"rank 2: save_folder: " + folder.File(other), "rank 0", "a folder that all ranks share"});
    EXPECT_TRUE(NamesIn(folder.File("shared")).empty()) << "what was written to see is gone";
  }
}

TEST(SaveFolder, RanksStartFromWhatRankZeroFinds) {
  const TempDir folder;
  CheckpointWriter(folder.path(), {.step = 7}, IfExists::kRefuse, OneRank()).Commit({}, "");
  RunAsRanks(2, [&](Communicator& ranks) {
    Console console({.is_silent = true});
    TrainConfig config = ConfigOf(folder.path());
    config.try_load_latest_save = true;
    const SaveFolder opened(config, console, ranks);
    EXPECT_EQ(opened.checkpoint_to_load(), folder.File("step7"));
    EXPECT_TRUE(opened.continues_latest_save());
    EXPECT_TRUE(opened.resumes_here());
  });
}

TEST(SaveFolder, IsGoneWhereTheRunDidNotBegin) {
  const TempDir folder;
  fs::create_directory(folder.File("old"));
  RunAsRanks(2, [&](Communicator& ranks) {
    Console console({.is_silent = true});
    { const SaveFolder opened(ConfigOf(folder.File("new")), console, ranks); }
    { const SaveFolder opened(ConfigOf(folder.File("old")), console, ranks); }
    const SaveFolder begun(ConfigOf(folder.File("begun")), console, ranks);
    begun.WriteConfig();
  });
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"begun", "old"}));
}

TEST(SaveFolder, WhatRankZeroRefusesAllRefuse) {
  const TempDir folder;
  folder.Write("config.yaml", "run_name: earlier\n");
  RunAsRanks(2, [&](Communicator& ranks) {
    Console console({.is_silent = true});
    const std::string message =
        ErrorOf<ConfigError>([&] { const SaveFolder opened(ConfigOf(folder.path()), console, ranks); });
    ExpectParts(message, {"holds a run already", "--save_overwrite"});
  });
}

TEST(SaveFolder, OfARunKilledBeforeItsFirstCheckpointIsTakenUpAgain) {
  const TempDir folder;
  folder.Write("run/config.yaml", "run_name: earlier\n");
  CheckpointWriter(folder.path(), {.step = 7}, IfExists::kRefuse, OneRank()).Commit({}, "");
  RunAsRanks(1, [&](Communicator& ranks) {
    Console console({.is_silent = true});
    TrainConfig config = ConfigOf(folder.File("run"));
    config.load_path = folder.File("step7");
    config.try_load_latest_save = true;
    const SaveFolder opened(config, console, ranks);
    EXPECT_EQ(opened.checkpoint_to_load(), config.load_path);
    EXPECT_FALSE(opened.resumes_here());
    EXPECT_TRUE(opened.may_overwrite());
  });
}

TEST(SaveFolder, DoesNotGoOnWhereTheRunStartsOver) {
  const TempDir folder;
  folder.Write("config.yaml", "run_name: earlier\n");
  CheckpointWriter(folder.path(), {.step = 7}, IfExists::kRefuse, OneRank()).Commit({}, "");
  TrainConfig config = ConfigOf(folder.path());
  config.load_path = folder.File("step7");
  RunAsRanks(1, [&](Communicator& ranks) {
    Console console({.is_silent = true});
    EXPECT_TRUE(SaveFolder(config, console, ranks).resumes_here());
    TrainConfig without_place = config;
    without_place.restore_dataloader = false;
    TrainConfig without_state = config;
    without_state.reset_trainer_state = true;
    for (TrainConfig over : {without_place, without_state}) {
      ExpectParts(ErrorOf<ConfigError>([&] { const SaveFolder opened(over, console, ranks); }),
                  {"holds a run already"});
      over.save_overwrite = true;
      EXPECT_FALSE(SaveFolder(over, console, ranks).resumes_here());
      over.try_load_latest_save = true;
      EXPECT_TRUE(SaveFolder(over, console, ranks).resumes_here()) << "these keys are for load_path";
    }
  });
}

TEST(SaveFolder, IsOfOneRunAtATime) {
  const TempDir folder;
  TrainConfig config = ConfigOf(folder.File("run"));
  config.save_overwrite = true;
  Console console({.is_silent = true});
  RunAsRanks(1, [&](Communicator& ranks) {
    std::optional<SaveFolder> first(std::in_place, config, console, ranks);
    fs::create_directory(folder.File("run/step3-tmp"));
    ExpectParts(ErrorOf<ConfigError>([&] { const SaveFolder second(config, console, ranks); }),
                {"another run is going on in " + folder.File("run"), "another save_folder"});
    EXPECT_TRUE(fs::exists(folder.File("run/step3-tmp"))) << "which the first may be writing";
    config.dry_run = true;
    EXPECT_NO_THROW(SaveFolder(config, console, ranks));
    config.dry_run = false;
    first.reset();
    EXPECT_NO_THROW(SaveFolder(config, console, ranks));
  });
}

}  // namespace
}  // namespace coat
