#include "tensorboard/event_file.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/python.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

using Scalars = std::vector<std::pair<std::string, double>>;

constexpr double kNow = 1.7e9;

/// Expects that TensorBoard reads these metrics in `folder`.
void ExpectRead(const TempDir& folder, const std::string& metrics) {
  const PythonOutcome outcome =
      RunPython("tests/tensorboard_events.py", {folder.File("events"), folder.Write("expected.jsonl", metrics)});
  if (outcome.exit_code == kPythonSkips) GTEST_SKIP() << outcome.output;
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

TEST(EventFile, IsReadByTensorBoard) {
  const TempDir folder;
  EventFile file(folder.File("events"), 0, false, kNow);
  file.Write(1, kNow + 0.5, Scalars{{"train/CrossEntropyLoss", 1.0 / 3.0}, {"eval/\"ä\"/Loss", -1e-30}});
  file.Write(2, kNow + 1, Scalars{{"train/CrossEntropyLoss", 1e300}, {"optim/learning_rate_group0", 0.0}});
  file.Write(2, kNow + 1, Scalars{});
  file.Write(1LL << 40, kNow + 2, Scalars{{"train/CrossEntropyLoss", std::numeric_limits<double>::quiet_NaN()}});
  ExpectRead(folder,
             "{\"step\":1,\"train/CrossEntropyLoss\":0.3333333333333333,\"eval/\\\"ä\\\"/Loss\":-1e-30}\n"
             "{\"step\":2,\"train/CrossEntropyLoss\":null,\"optim/learning_rate_group0\":0}\n"
             "{\"step\":1099511627776,\"train/CrossEntropyLoss\":null}\n");
}

// Readers take a value that is not in the file for a value of another kind, and pass over it.
TEST(EventFile, HoldsTheValuesThatAreZero) {
  const TempDir folder;
  EventFile file(folder.File("events"), 0, false, kNow);
  file.Write(1, kNow, Scalars{{"zero", 0.0}, {"none", -0.0}});
  const std::string bytes = folder.Read(file.path());
  EXPECT_NE(bytes.find(std::string("\x0a\x04zero\x15\0\0\0\0", 11)), std::string::npos);
  EXPECT_NE(bytes.find(std::string("\x0a\x04none\x15\0\0\0\x80", 11)), std::string::npos);
}

TEST(EventFile, OfARunThatGoesOnReplacesTheStepsThatItTakesAgain) {
  const TempDir folder;
  const std::string events = folder.File("events");
  for (const std::int64_t done : {0, 4, 6}) {  // killed in step 9, then in step 8, each time while it wrote
    EventFile file(events, done, false, kNow);
    const std::int64_t last = done == 4 ? 7 : 9;
    for (std::int64_t step = done + 1; step <= last; ++step) {
      file.Write(step, kNow, Scalars{{"loss", static_cast<double>(10 * done + step)}});
    }
    if (done < 6) folder.Write(file.path(), folder.Read(file.path()).substr(0, folder.Read(file.path()).size() - 9));
  }
  EXPECT_EQ(NamesIn(events),
            (std::set<std::string>{"events.out.tfevents.1700000000.coat", "events.out.tfevents.1700000001.coat",
                                   "events.out.tfevents.1700000002.coat"}));
  std::string metrics;
  for (std::int64_t step = 1; step <= 9; ++step) {
    const std::int64_t done = step <= 4 ? 0 : step <= 6 ? 4 : 6;
    metrics += "{\"step\":" + std::to_string(step) + ",\"loss\":" + std::to_string(10 * done + step) + "}\n";
  }
  ExpectRead(folder, metrics);
}

TEST(EventFile, SortsBehindThoseThatAreThereWhenTheClockWentBack) {
  const TempDir folder;
  const std::string events = folder.File("events");
  EventFile(events, 0, false, kNow);
  EventFile(events, 3, false, kNow - 1e6);
  EXPECT_EQ(NamesIn(events),
            (std::set<std::string>{"events.out.tfevents.1700000000.coat", "events.out.tfevents.1700000001.coat"}));
}

TEST(EventFile, OfANewRunReplacesOthersOnlyWhenAsked) {
  const TempDir folder;
  const std::string events = folder.File("events");
  folder.Write("events/notes.txt", "mine");
  EventFile(events, 0, false, kNow);
  ExpectParts(ErrorOf([&] { EventFile(events, 0, false, kNow); }), {events, "exists already", "save_overwrite"});
  EventFile(events, 0, true, kNow + 7);
  EXPECT_EQ(NamesIn(events), (std::set<std::string>{"events.out.tfevents.1700000007.coat", "notes.txt"}));
}

TEST(EventFile, SaysWhatIsWrongWithItsPath) {
  const TempDir folder;
  folder.Write("file", "");
  EXPECT_THROW(EventFile(folder.File("file"), 0, false, kNow), IoError);
  folder.Write("events/events.out.tfevents.1/x", "");
  ExpectParts(ErrorOf([&] { EventFile(folder.File("events"), 0, true, kNow); }), {"tfevents.1: cannot be removed"});
}

}  // namespace
}  // namespace coat
