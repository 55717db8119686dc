// The Python scripts: what they say where a package is missing, and the comparison of runs.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/python.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

TEST(Scripts, SayHowToGetAPackageThatIsMissing) {
  const TempDir folder;
  // An interpreter that finds no installed packages.
  const std::string bare = folder.Write("bare", "#!/bin/sh\nexec '" + PythonInterpreter() + "' -S -E \"$@\"\n");
  std::filesystem::permissions(bare, std::filesystem::perms::owner_all);
  struct Use {
    std::string script;
    std::vector<std::string> arguments;
    std::string packages;
  };
  for (const Use& use : {Use{"import_to_wandb.py", {"a run"}, "wandb"},
                         Use{"prepare_instructions.py",
                             {"--tokenizer", "none.json", "--length", "9", "none.jsonl", folder.File("out")},
                             "tokenizers"},
                         Use{"prepare_text.py", {"--out", folder.File("out"), "none"}, "numpy tokenizers"}}) {
    SCOPED_TRACE(use.script);
    const PythonOutcome outcome = RunPython("scripts/" + use.script, use.arguments, bare);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(outcome.output.starts_with(use.script + ": No module named")) << outcome.output;
    ExpectParts(outcome.output,
                {"python3 -m venv ~/.venvs/coat && ~/.venvs/coat/bin/pip install " + use.packages + "\n",
                 "~/.venvs/coat/bin/python3 ", use.script});
  }
  EXPECT_FALSE(std::filesystem::exists(folder.File("out")));
}

/// A save folder as compare_runs.py reads it, of so many steps with losses of 3, 6, 9 and so on, times `factor`.
void WriteRun(const TempDir& folder, const std::string& name, int steps, int factor) {
  std::string metrics;
  for (int step = 1; step <= steps; ++step) {
    metrics += "{\"step\": " + std::to_string(step) +
               ", \"train/CrossEntropyLoss\": " + std::to_string(3 * step * factor) +
               ", \"eval/validation/CrossEntropyLoss\": 1.5, \"throughput/device/tokens_per_second\": 1000}\n";
  }
  std::filesystem::create_directory(folder.File(name));
  folder.Write(name + "/metrics.jsonl", metrics);
  folder.Write(name + "/plan.json", R"({"plans": [{"categories": {"moments": 600, "metadata": 24, "saved": 5000}}]})");
}

TEST(Scripts, CompareRunsHoweverShort) {
  for (const int steps : {1, 3, 30}) {
    SCOPED_TRACE(steps);
    const TempDir folder;
    WriteRun(folder, "one", steps, 1);
    WriteRun(folder, "two", steps, 2);
    const PythonOutcome outcome =
        RunPython("scripts/compare_runs.py", {folder.File("plot.png"), folder.File("one"), folder.File("two")});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    // The last ten, or as many as there are: 3, 6 and the mean of 63, 66 to 90.
    ExpectParts(outcome.output, {steps == 1   ? "3.0000"
                                 : steps == 3 ? "6.0000"
                                              : "76.5000",
                                 "two against one: training loss +100.00%, validation loss +0.00%"});
    EXPECT_TRUE(folder.Read("plot.png").starts_with("\x89PNG"));
  }
}

}  // namespace
}  // namespace coat
