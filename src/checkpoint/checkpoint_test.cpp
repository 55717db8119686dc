#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_writer.h"
#include "tests/support/error_of.h"
#include "tests/support/example_checkpoint.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/one_rank.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

namespace fs = std::filesystem;

TEST(Checkpoint, IsFoundAndReadAsItWasSaved) {
  const TempDir folder;
  const std::string runs = folder.File("runs/a");
  SaveExample(runs, 5, 1, IfExists::kRefuse);
  SaveExample(runs, 10, 1, IfExists::kRefuse);
  EXPECT_EQ(NamesIn(runs), (std::set<std::string>{"step5", "step10", "latest"}));
  EXPECT_EQ(fs::read_symlink(runs + "/latest"), "step10");
  EXPECT_EQ(LoadExample(runs + "/latest").step, 10);
  EXPECT_EQ(LoadExample(runs + "/step5").step, 5);
  EXPECT_EQ(FindLatestCheckpoint(runs).path, runs + "/step10");
  EXPECT_EQ(NamesIn(runs + "/step5"), (std::set<std::string>{"model.safetensors", "train.json", "config.yaml"}));
}

TEST(Checkpoint, KeepsALinkForEachKind) {
  const TempDir folder;
  CheckpointWriter(folder.path(), {.step = 1, .kind = CheckpointKind::kUnsharded}, IfExists::kRefuse, OneRank())
      .Commit({}, "");
  CheckpointWriter(folder.path(), {.step = 2}, IfExists::kRefuse, OneRank()).Commit({}, "");
  EXPECT_EQ(fs::read_symlink(folder.File("latest-unsharded")), "step1-unsharded");
  EXPECT_EQ(fs::read_symlink(folder.File("latest")), "step2");
}

TEST(Checkpoint, IsNotReplacedUnlessAsked) {
  const TempDir folder;
  SaveExample(folder.path(), 5, 1, IfExists::kRefuse);
  ExpectParts(ErrorOf([&] { SaveExample(folder.path(), 5, 2, IfExists::kRefuse); }),
              {folder.File("step5"), "exists", "save_overwrite"});
  EXPECT_EQ(LoadExample(folder.File("step5")).extra.updates, 1);
  SaveExample(folder.path(), 5, 2, IfExists::kReplace);
  EXPECT_EQ(LoadExample(folder.File("step5")).extra.updates, 2);
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"step5", "latest"}));
}

TEST(Checkpoint, TakesTheNameOfAnEmptyFolder) {
  const TempDir folder;
  fs::create_directory(folder.File("step5"));
  SaveExample(folder.path(), 5, 1, IfExists::kRefuse);
  EXPECT_EQ(LoadExample(folder.File("latest")).step, 5);
}

TEST(Checkpoint, DoesNotReplaceAFolderThatCameWhileItWasWritten) {
  const TempDir folder;
  CheckpointWriter writer(folder.path(), {.step = 5}, IfExists::kRefuse, OneRank());
  SaveExample(folder.File("elsewhere"), 5, 3, IfExists::kRefuse);
  fs::rename(folder.File("elsewhere/step5"), folder.File("step5"));
  ExpectParts(ErrorOf([&] { writer.Commit({}, ""); }), {folder.File("step5"), "not empty"});
  EXPECT_EQ(LoadExample(folder.File("step5")).extra.updates, 3);
}

TEST(Checkpoint, LeavesWhatIsNotAFolderOrALinkInPlace) {
  const TempDir folder;
  folder.Write("step5", "precious");
  folder.Write("other/latest", "precious");
  folder.Write("third/latest/precious", "precious");
  for (const IfExists if_exists : {IfExists::kRefuse, IfExists::kReplace}) {
    ExpectParts(ErrorOf([&] { SaveExample(folder.path(), 5, 1, if_exists); }), {folder.File("step5"), "not a folder"});
    ExpectParts(ErrorOf([&] { SaveExample(folder.File("other"), 5, 1, if_exists); }),
                {folder.File("other/latest"), "not a link"});
    ExpectParts(ErrorOf([&] { SaveExample(folder.File("third"), 5, 1, if_exists); }),
                {folder.File("third/latest"), "not a link"});
  }
  EXPECT_EQ(folder.Read("step5"), "precious");
  EXPECT_EQ(folder.Read("other/latest"), "precious");
  EXPECT_EQ(NamesIn(folder.File("third")), std::set<std::string>{"latest"});
}

TEST(Checkpoint, ThatIsAbandonedLeavesNothing) {
  const TempDir folder;
  SaveExample(folder.path(), 1, 1, IfExists::kRefuse);
  const auto save = [&] {
    CheckpointWriter writer(folder.path(), {.step = 2}, IfExists::kRefuse, OneRank());
    writer.AddFile("notes.txt", "n");
    EXPECT_TRUE(fs::exists(folder.File("step2-tmp/notes.txt")));
    writer.AddTensors("model.safetensors", WeightsOfExample(), [](std::size_t, Part) -> std::span<const std::byte> {
      throw std::logic_error("the model is gone");
    });
  };
  EXPECT_THROW(save(), std::logic_error);
  EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"step1", "latest"}));
}

TEST(Checkpoint, TakesFilesWithPlainNamesOnceEach) {
  const TempDir folder;
  CheckpointWriter writer(folder.path(), {.step = 2}, IfExists::kRefuse, OneRank());
  for (const char* const name : {"", ".", "..", "../step1", "a/b", "/etc/passwd"}) {
    ErrorOf<ArgumentError>([&] { writer.AddFile(name, ""); });
  }
  writer.AddFile("a", "1");
  ExpectParts(ErrorOf([&] { writer.AddFile("a", "2"); }), {"step2-tmp/a", "File exists"});
  writer.Commit({}, "");
  EXPECT_EQ(CheckpointReader(folder.File("step2")).ReadFile("a"), "1");
  ErrorOf<ArgumentError>([&] { writer.Commit({}, ""); });
  ErrorOf<ArgumentError>([&] { CheckpointWriter(folder.path(), {.step = -1}, IfExists::kRefuse, OneRank()); });
}

TEST(Checkpoint, ReportsAFolderThatCannotBe) {
  const TempDir folder;
  const std::string below_file = folder.Write("file", "") + "/runs";
  ExpectParts(ErrorOf([&] { SaveExample(below_file, 1, 1, IfExists::kRefuse); }), {below_file, "Not a directory"});
}

TEST(Checkpoint, SurvivesALimitAtEverySizeOfItsFiles) {
  const TempDir folder;
  SaveExample(folder.path(), 1, 1, IfExists::kRefuse);
  SaveExample(folder.path(), 2, 1, IfExists::kRefuse);
  int refused = 0;
  for (rlim_t bytes = 0; bytes < 4000; bytes += bytes < 24 ? 1 : 103) {
    std::string message;
    {
      const FileSizeLimit limit(bytes);
      try {
        SaveExample(folder.path(), 2, 2, IfExists::kReplace);
      } catch (const IoError& error) {
        message = error.what();
      }
    }
    if (message.empty()) break;
    ++refused;
    ExpectParts(message, {folder.path() + "/step2-tmp/", "at byte " + std::to_string(bytes), "File too large"});
    EXPECT_EQ(NamesIn(folder.path()), (std::set<std::string>{"step1", "step2", "latest"}));
    EXPECT_EQ(LoadExample(folder.File("latest")).extra.updates, 1);
    EXPECT_EQ(LoadExample(folder.File("step1")).step, 1);
  }
  EXPECT_GT(refused, 40);
  EXPECT_EQ(LoadExample(folder.File("latest")).extra.updates, 2);
}

TEST(CheckpointReader, FindsEveryFlippedBitAndEveryLostByte) {
  const TempDir folder;
  SaveExample(folder.path(), 3, 1, IfExists::kRefuse);
  for (const char* const name : {"model.safetensors", "config.yaml"}) {
    const std::string path = folder.File("step3/") + name;
    const std::string whole = folder.Read(path);
    const auto expect_refusal = [&](const std::string& bytes, std::string_view part) {
      fs::remove(path);  // a file written over waits for the disk on ext4
      folder.Write(std::string("step3/") + name, bytes);
      ExpectParts(ErrorOf([&] { CheckpointReader(folder.File("step3")).ReadFile(name); }), {path, part});
    };
    for (std::size_t bit = 0; bit<whole.size() * 8; bit += whole.size()> 1000 ? 17 : 1) {
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
      expect_refusal(damaged, "damaged");
    }
    expect_refusal(whole.substr(0, whole.size() - 1), "bytes long");
    expect_refusal("", "0 bytes long");
    expect_refusal(whole + "x", "bytes long");
    folder.Write(std::string("step3/") + name, whole);
  }
  LoadExample(folder.File("step3"));
}

TEST(CheckpointReader, SaysWhatMayBeMeant) {
  const TempDir folder;
  SaveExample(folder.File("saves"), 5, 1, IfExists::kRefuse);
  folder.Write("hf/config.json", "{}");
  folder.Write("olmo/model.pt", "");
  folder.Write("other/config.yaml", "");
  const auto error = [&](const char* name) { return ErrorOf([&] { CheckpointReader(folder.File(name)); }); };
  ExpectParts(error("saves"), {"saves is not a checkpoint", "did you mean " + folder.File("saves/latest") + "?"});
  ExpectParts(error("hf"), {"hf is not a checkpoint", "`coat convert " + folder.File("hf") + " OUT` makes one of it"});
  ExpectParts(error("olmo"), {"olmo is not a checkpoint", "`coat convert " + folder.File("olmo") + " OUT`"});
  for (const char* const name : {"other", "missing"}) {
    const std::string message = error(name);
    EXPECT_EQ(message.substr(message.size() - 11), "config.yaml") << message;
  }
}

TEST(CheckpointReader, NamesWhatIsNotThere) {
  const TempDir folder;
  SaveExample(folder.path(), 3, 1, IfExists::kRefuse);
  const CheckpointReader reader(folder.File("step3"));
  EXPECT_TRUE(reader.Contains("model.safetensors"));
  EXPECT_FALSE(reader.Contains("optim.safetensors"));
  ExpectParts(ErrorOf([&] { reader.OpenSafetensors("optim.safetensors"); }),
              {folder.File("step3"), "optim.safetensors"});
  ExpectParts(ErrorOf([&] { reader.ReadFile("train.json"); }), {"train.json"});
  ExpectParts(ErrorOf([&] { const CheckpointReader missing(folder.File("step4")); }), {"step4", "not a checkpoint"});
  fs::remove(folder.File("step3/model.safetensors"));
  ExpectParts(ErrorOf([&] { reader.OpenSafetensors("model.safetensors"); }), {"model.safetensors", "No such file"});
  fs::remove(folder.File("step3/config.yaml"));
  ExpectParts(ErrorOf([&] { const CheckpointReader half(folder.File("step3")); }), {"step3", "config.yaml"});
}

}  // namespace
}  // namespace coat
