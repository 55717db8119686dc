// What the Python scripts say where a package is missing.

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

}  // namespace
}  // namespace coat
