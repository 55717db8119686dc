#pragma once
// Scripts of tests that compare with other implementations: PyTorch, transformers, TensorBoard and so on.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"

namespace coat {

/// The exit code of a script whose libraries are not there: the test is then skipped.
inline constexpr int kPythonSkips = 77;

struct PythonOutcome {
  int exit_code = -1;
  std::string output;  // both streams
};

/// The interpreter that has the packages of tests/requirements.txt: COAT_TEST_PYTHON, the one that
/// scripts/test_python.sh made, or else whatever python3 is.
inline std::string PythonInterpreter() {
  if (const char* const chosen = std::getenv("COAT_TEST_PYTHON")) return chosen;
  const std::string installed = SourceDir() + "/.cache/test_python/bin/python3";
  return ::access(installed.c_str(), X_OK) == 0 ? installed : "python3";
}

/// Runs `script`, a path below the project's folder, with these arguments. A script of tests that misses a module exits
/// with kPythonSkips and says which.
inline PythonOutcome RunPython(const std::string& script, const std::vector<std::string>& arguments,
                               const std::string& interpreter = PythonInterpreter()) {
  const TempDir folder;
  const auto quoted = [](const std::string& text) { return " '" + text + "'"; };
  std::string command = quoted(interpreter) + quoted(SourceDir() + "/" + script);
  for (const std::string& argument : arguments) command += quoted(argument);
  const int status = std::system((command + " >" + quoted(folder.File("log")) + " 2>&1").c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, folder.Read("log")};
}

}  // namespace coat
