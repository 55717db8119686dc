#include "base/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <cstring>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(ChildProcess, AnswersWhatItIsAsked) {
  ChildProcess child({"cat"});
  for (const std::string_view text : {"one", "a longer text"}) {
    EXPECT_TRUE(child.Write(Bytes(text)));
    std::string answer(text.size(), ' ');
    EXPECT_TRUE(child.Read(std::as_writable_bytes(std::span(answer))));
    EXPECT_EQ(answer, text);
  }
}

TEST(ChildProcess, SaysHowAProgramEndedThatDidNotAnswer) {
  ::signal(SIGPIPE, SIG_IGN);
  std::array<std::byte, 4> answer;
  ChildProcess fails({"sh", "-c", "echo a; exit 3"});
  EXPECT_FALSE(fails.Read(answer));
  EXPECT_EQ(fails.WaitForEnd(), "exit code 3");
  EXPECT_FALSE(fails.Write(Bytes("more")));
  ChildProcess dies({"sh", "-c", "kill -9 $$"});
  EXPECT_FALSE(dies.Read(answer));
  EXPECT_EQ(dies.WaitForEnd(), "signal 9");
}

TEST(ChildProcess, EndsAProgramThatWouldGoOn) {
  const ChildProcess child({"sleep", "1000"});
}

TEST(ChildProcess, RefusesAProgramThatIsNotThere) {
  EXPECT_EQ(ErrorOf([] { ChildProcess({"/no/such/program"}); }),
            "/no/such/program: cannot be started: No such file or directory");
}

}  // namespace
}  // namespace coat
