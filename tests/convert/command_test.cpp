// `coat convert` as a user meets it: what it leaves beside OUT.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <set>
#include <string>
#include <thread>

#include "tests/convert/model_folders.h"
#include "tests/support/coat_process.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

class ConvertCommand : public ModelFolders {
 protected:
  ConvertCommand() { ExportToHf(Checkpoint(OtherOlmo(), RandomWeights(OtherOlmo())), File("m-tmp"), {}); }
};

TEST_F(ConvertCommand, RemovesNothingThatItDidNotMake) {
  folder_.Write("m-replaced-tmp/notes.txt", "x");
  const std::set<std::string> before = NamesIn(File("m-tmp"));
  for (const char* const option : {"--to=coat", "--overwrite"}) {
    const Outcome outcome = RunCoat({"convert", File("m-tmp"), File("m"), option});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(NamesIn(folder_.path()), (std::set<std::string>{"run", "m-tmp", "m-replaced-tmp", "m"}));
    EXPECT_EQ(NamesIn(File("m-tmp")), before);
    EXPECT_EQ(folder_.Read("m-replaced-tmp/notes.txt"), "x");
  }
}

TEST_F(ConvertCommand, NamesTheSettingsThatItDoesNotTakeOver) {
  const std::string path = folder_.Write("m-tmp/generation_config.json", R"({"temperature": 0.6, "top_p\u001b": 0.9})");
  const std::string note = "not taken over: " + path + ": temperature, \"top_p\\x1b\"\n";
  for (const char* const to : {"--to=coat", "--to=olmo"}) {
    const Outcome outcome = RunCoat({"convert", File("m-tmp"), File("m"), to, "--overwrite"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    ExpectParts(outcome.out, {note});
  }
  const Outcome kept = RunCoat({"convert", File("m-tmp"), File("m"), "--to=hf", "--overwrite"});
  EXPECT_EQ(kept.out.find("not taken over"), std::string::npos) << kept.out;
}

/// A terminal that takes nothing more, until it is read.
class FullTerminal {
 public:
  FullTerminal() : reader_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    EXPECT_EQ(::grantpt(reader_), 0);
    EXPECT_EQ(::unlockpt(reader_), 0);
    name_ = ::ptsname(reader_);
    writer_ = ::open(name_.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    while (::write(writer_, "x", 1) == 1) continue;
  }
  ~FullTerminal() {
    ::close(writer_);
    ::close(reader_);
  }

  const std::string& name() const { return name_; }
  void Empty() {
    char bytes[4096];
    ::fcntl(reader_, F_SETFL, O_NONBLOCK);
    while (::read(reader_, bytes, sizeof bytes) > 0) continue;
  }

 private:
  int reader_;
  int writer_;
  std::string name_;
};

TEST_F(ConvertCommand, LeavesNothingWhenItIsStopped) {
  const std::set<std::string> before = NamesIn(folder_.path());
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    FullTerminal terminal;
    CoatProcess process({"convert", File("m-tmp"), File("out")}, [&] {
      ::setenv("TERM", "xterm", 1);  // where progress is shown, so that it waits there
      ::dup2(::open(terminal.name().c_str(), O_WRONLY | O_NOCTTY), STDERR_FILENO);
    });
    while (NamesIn(folder_.path()) == before && process.IsRunning()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    process.Signal(signal);
    while (process.IsRunning()) {
      terminal.Empty();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(process.Wait().exit_code, -1);
    EXPECT_EQ(NamesIn(folder_.path()), before);
  }
}

}  // namespace
}  // namespace coat
