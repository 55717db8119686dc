// Checkpoints of `coat train` under mpirun: saved by four ranks and read by one, two and three, unsharded ones, and
// what is left when a rank is killed.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_tensors.h"
#include "checkpoint/directory.h"
#include "tests/support/error_of.h"
#include "tests/support/mpirun.h"
#include "tests/support/tiny_run.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

class RankSaves : public TinyRun {
 protected:
  void SetUp() override {
    if (!kHasMpirun) GTEST_SKIP() << kNoMpi;
  }

  /// The `coat train` command of a rank with FP8 moments, for the shell.
  std::string Command(const std::string& save, const std::string& options) const {
    return fmt::format(
        "'{}' train '{}' --device=cpu --threads=1 --save_folder='{}' --global_train_batch_size=12 "
        "--device_train_microbatch_size=1 --distributed_strategy=fsdp --fsdp.sharding_strategy=FULL_SHARD "
        "--fsdp.precision=mixed "
        "--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw "
        "--quantize_optimizer.first_order_expansion=expansion "
        "--quantize_optimizer.second_order_expansion=expansion {}",
        COAT_BINARY, config_, Save(save), options);
  }

  MpirunOutcome TrainAsRanks(int ranks, const std::string& save, const std::string& options) const {
    return Mpirun(ranks, Command(save, options));
  }

  /// The training losses from a step on.
  std::vector<double> LossesOf(const std::string& save, std::int64_t from) const {
    std::istringstream lines(folder_.Read(save + "/metrics.jsonl"));
    std::vector<double> losses;
    for (std::string line; std::getline(lines, line);) {
      const nlohmann::json metrics = nlohmann::json::parse(line);
      if (metrics["step"].get<std::int64_t>() >= from) losses.push_back(metrics["train/CrossEntropyLoss"]);
    }
    return losses;
  }

  /// Reads every byte of every checkpoint of a save folder.
  void ExpectAllWhole(const std::string& save) const {
    EXPECT_TRUE(FindLatestCheckpoint(Save(save)).incomplete.empty());
    for (const std::string& name : NamesIn(Save(save))) {
      if (!ParseCheckpointName(name)) continue;
      const CheckpointReader reader(Save(save + "/" + name));
      for (const char* const file : {"model.safetensors", "optim.safetensors"}) {
        const CheckpointTensors tensors(reader, file);
        for (const PartedTensor& tensor : tensors.tensors()) {
          for (const TensorPart& part : tensor.parts) tensors.Bytes(tensor, part);
        }
      }
    }
  }
};

TEST_F(RankSaves, OfFourGoOnAtOneToFour) {
  const std::string float32 = "--precision=fp32 ";
  const MpirunOutcome four = TrainAsRanks(4, "four", float32);
  ASSERT_EQ(four.exit_code, 0) << four.err;
  EXPECT_TRUE(fs::exists(Save("four/step8/model-00004-of-00004.safetensors")));
  EXPECT_FALSE(fs::exists(Save("four/step4"))) << "retention keeps two";
  EXPECT_EQ(CheckpointReader(Save("four/latest")).state().world_size, 4);
  const std::vector<double> losses = LossesOf("four", 9);
  ASSERT_EQ(losses.size(), 4u);
  for (const int ranks : {1, 2, 3, 4}) {
    const std::string save = "from" + std::to_string(ranks);
    const MpirunOutcome outcome = TrainAsRanks(ranks, save, float32 + "--load_path='" + Save("four/step8") + "'");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::vector<double> again = LossesOf(save, 9);
    ASSERT_EQ(again.size(), 4u);
    // The same weights and tokens, so the same sum of twelve losses in float64 but for its order. Later the gradients'
    // sums in another order tell: as in tests/support/sharded_training.h, in float32 some 1,000 terms differ by
    // 2^-24 sqrt(1000 / 6), 7.7e-7, and a step of AdamW passes that on. As many ranks add up in the same order.
    EXPECT_NEAR(again[0], losses[0], 12 * 0x1p-53 * losses[0]) << ranks << " ranks";
    for (std::size_t i = 1; i < 4; ++i) EXPECT_NEAR(again[i], losses[i], 1e-6 * losses[i]) << ranks << " ranks";
    if (ranks == 4) {
      EXPECT_EQ(again, losses);
    }
    EXPECT_EQ(CheckpointReader(Save(save + "/latest")).state().world_size, ranks);
    ExpectAllWhole(save);
  }
}

TEST_F(RankSaves, UnshardedOnesAreWholeAndEqualTheConverted) {
  const MpirunOutcome outcome = TrainAsRanks(3, "three", "--save_interval_unsharded=8 --stop_at=8");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(fs::read_symlink(Save("three/latest-unsharded")), "step8-unsharded");
  const std::string unsharded = Save("three/step8-unsharded");
  EXPECT_EQ(CheckpointTensors(CheckpointReader(unsharded), "model.safetensors").path(),
            unsharded + "/model.safetensors");
  const Outcome converted = RunCoat({"convert", Save("three/step8"), Save("whole"), "--to", "coat"});
  EXPECT_EQ(converted.exit_code, 0) << converted.err;
  for (const char* const file : {"model.safetensors", "optim.safetensors", "config.yaml"}) {
    EXPECT_TRUE(folder_.Read(std::string("whole/") + file) ==
                folder_.Read(std::string("three/step8-unsharded/") + file))
        << file;
  }
}

TEST_F(RankSaves, ARankThatIsKilledEndsTheRunWhichGoesOnFromItsLastSave) {
  std::mt19937 random(7);
  std::int64_t saved = 0;
  for (int round = 0; round < 4; ++round) {
    const int ranks = 2 + round % 2;
    const int victim = round % ranks;
    const std::string pid_file = Save("pid" + std::to_string(round));
    // Every rank writes its process id, and becomes coat.
    const std::string command = fmt::format("sh -c 'echo $$ >{}.$OMPI_COMM_WORLD_RANK; exec \"$@\"' -- {}", pid_file,
                                            Command("run",
                                                    "--max_duration=100000 --save_interval=1 --try_load_latest_save "
                                                    "--eval_interval=100000 --no_pre_train_checkpoint"));
    MpirunOutcome outcome;
    std::jthread run([&] { outcome = Mpirun(ranks, command, 60); });
    const auto latest = [&] {
      std::error_code none;
      const auto name = ParseCheckpointName(fs::read_symlink(Save("run/latest"), none).string());
      return name ? name->step : 0;
    };
    for (int i = 0; i < 5000 && latest() <= saved; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 50));
    const int pid = std::stoi(folder_.Read(pid_file + "." + std::to_string(victim)));
    const auto killed = std::chrono::steady_clock::now();
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    run.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - killed).count();
    EXPECT_LT(seconds, 30.0) << "the others have waited for rank " << victim;
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_GT(latest(), saved) << outcome.err;
    saved = latest();
    PrepareSaveFolder(Save("run"));
    ExpectAllWhole("run");
  }
}

}  // namespace
}  // namespace coat
