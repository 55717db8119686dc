#include "checkpoint/trainer_state.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "tests/support/error_of.h"

namespace coat {
namespace {

TrainerState Example() {
  TrainerState state;
  state.step = 1200;
  state.epoch = 2;
  state.examples_seen_this_epoch = 4096;
  state.examples_seen = 614400;
  state.tokens_seen = std::int64_t{614400} * 2048 * 1000;
  state.world_size = 4;
  state.current_train_loss = 0.1 + 0.2;
  state.min_train_loss = std::numeric_limits<double>::denorm_min();
  state.checkpoints = {"step1000", "step1200"};
  state.unsharded_checkpoints = {"step500-unsharded"};
  state.ephemeral_checkpoints = {};
  state.extra = {
      .updates = 1197, .skipped_steps = 3, .bolt_on_start = 600, .evaluation_due = true, .run_in_save_folder = 2};
  state.files = {{.name = "model.safetensors", .size_bytes = std::uint64_t{1} << 40, .crc32 = 0x0000beef},
                 {.name = "config.yaml", .size_bytes = 0, .crc32 = 0xffffffff}};
  return state;
}

/// The example's text with one piece replaced.
std::string With(const std::string& found, const std::string& replacement) {
  std::string text = FormatTrainerState(Example());
  const std::size_t at = text.find(found);
  EXPECT_NE(at, std::string::npos) << found;
  return text.replace(at, found.size(), replacement);
}

std::string Refusal(const std::string& text) {
  const std::string message = ErrorOf([&] { ParseTrainerState(text, "folder/train.json"); });
  ExpectParts(message, {"folder/train.json: "});
  return message;
}

TEST(TrainerState, RoundTripsEveryBit) {
  const TrainerState state = Example();
  const TrainerState read = ParseTrainerState(FormatTrainerState(state), "train.json");
  EXPECT_EQ(read, state);
  TrainerState zero;
  zero.current_train_loss = -0.0;
  EXPECT_TRUE(std::signbit(ParseTrainerState(FormatTrainerState(zero), "train.json").current_train_loss));
  EXPECT_EQ(ParseTrainerState(FormatTrainerState({}), "train.json"), TrainerState{});
}

TEST(TrainerState, RoundTripsNumbersThatJsonDoesNotHave) {
  TrainerState state = Example();
  state.current_train_loss = std::numeric_limits<double>::quiet_NaN();
  state.min_train_loss = -std::numeric_limits<double>::infinity();
  const TrainerState read = ParseTrainerState(FormatTrainerState(state), "train.json");
  EXPECT_TRUE(std::isnan(read.current_train_loss));
  EXPECT_EQ(read.min_train_loss, -std::numeric_limits<double>::infinity());
}

TEST(TrainerState, KeepsOlmosNames) {
  const std::string text = FormatTrainerState(Example());
  for (const char* const key :
       {"\"global_step\": 1200", "\"epoch\": 2", "\"global_train_examples_seen_this_epoch\": 4096",
        "\"global_train_tokens_seen\": 1258291200000", "\"world_size\": 4"}) {
    EXPECT_NE(text.find(key), std::string::npos) << key;
  }
}

// Runs write all three counts, and the others where they say something; coat convert wrote the updates alone.
TEST(TrainerState, HasOfExtraWhatIsThere) {
  const std::string text = FormatTrainerState(Example());
  const std::string extra = text.substr(text.find("\"extra\""));
  EXPECT_EQ(extra.substr(0, extra.find('}') + 1),
            "\"extra\": {\n    \"bolt_on_start\": 600.0,\n    \"evaluation_due\": 1.0,\n"
            "    \"run_in_save_folder\": 2.0,\n    \"skipped_in_a_row\": 0.0,\n    \"skipped_steps\": 3.0,\n    "
            "\"updates\": 1197.0\n  }");
  const TrainerState old = ParseTrainerState(
      R"({"global_step":7,"epoch":0,"global_train_examples_seen_this_epoch":0,"global_train_examples_seen":0,)"
      R"("global_train_tokens_seen":0,"world_size":1,"cur_train_loss":"inf","min_train_loss":"inf","checkpoints":[],)"
      R"("unsharded_checkpoints":[],"ephemeral_checkpoints":[],"extra":{"updates":7.0},"files":[],"crc32":"71e6c234"})",
      "train.json");
  EXPECT_EQ(old.extra.updates, 7);
  EXPECT_EQ(old.extra.skipped_steps, 0);
  EXPECT_FALSE(old.extra.bolt_on_start);
}

TEST(TrainerState, NamesTheKeyThatIsMissingUnknownOrOfTheWrongType) {
  ExpectParts(Refusal(With("\"epoch\": 2,", "")), {"the key epoch is missing"});
  ExpectParts(Refusal(With("\"epoch\"", "\"epok\"")), {"the key epoch is missing"});
  ExpectParts(Refusal(With("\"epoch\": 2,", "\"epoch\": 2, \"epok\": 2,")), {"unknown key \"epok\""});
  ExpectParts(Refusal(With("\"epoch\": 2", "\"epoch\": -2")), {"epoch is \"-2\"", "an integer from 0"});
  ExpectParts(Refusal(With("\"epoch\": 2", "\"epoch\": 2.0")), {"epoch is \"2.0\""});
  ExpectParts(Refusal(With("\"epoch\": 2", "\"epoch\": \"2\"")), {"epoch is"});
  ExpectParts(Refusal(With("\"epoch\": 2", "\"epoch\": null")), {"epoch is \"null\""});
  ExpectParts(Refusal(With("\"epoch\": 2", "\"epoch\": 9223372036854775808")), {"epoch is \"9223372036854775808\""});
  ExpectParts(Refusal(With("\"epoch\": 2", "\"epoch\": 1e999")), {"double precision"});
  ExpectParts(Refusal(With("\"min_train_loss\": 5e-324", "\"min_train_loss\": \"small\"")),
              {"min_train_loss is", "a number"});
  ExpectParts(Refusal(With("\"step1000\"", "\"../../home\"")), {"checkpoints[0] is", "../../home", "step100"});
  ExpectParts(Refusal(With("\"step1200\"", "7")), {"checkpoints[1] is \"7\""});
  ExpectParts(Refusal(With("\"step500-unsharded\"", "\"step500-tmp\"")), {"unsharded_checkpoints[0]"});
  for (const char* const value : {"[]", "-1.0", "2.5", "\"nan\"", "1e16"}) {
    ExpectParts(Refusal(With("\"skipped_steps\": 3.0", fmt::format("\"skipped_steps\": {}", value))),
                {"extra.skipped_steps is ", "a whole number from 0 to 9007199254740992"});
  }
  ExpectParts(Refusal(With("\"evaluation_due\": 1.0", "\"evaluation_due\": 2.0")),
              {"extra.evaluation_due is \"2.0\"", "a whole number from 0 to 1"});
  ExpectParts(Refusal(With("\"updates\"", "\"updated\"")), {"unknown key \"extra.updated\""});
  ExpectParts(Refusal(With("\"model.safetensors\"", "\"../model.safetensors\"")), {"files[0].name is"});
  ExpectParts(Refusal(With("\"0000beef\"", "\"0000bee\"")), {"files[0].crc32 is", "8 hexadecimal digits"});
  ExpectParts(Refusal(With("\"0000beef\"", "\"0x00beef\"")), {"files[0].crc32 is"});
  ExpectParts(Refusal(With("\"size\": 1099511627776,", "")), {"the key files[0].size is missing"});
}

TEST(TrainerState, RefusesTextThatIsNotItsJson) {
  const std::string text = FormatTrainerState(Example());
  for (std::size_t size = 0; size + 1 < text.size(); ++size) Refusal(text.substr(0, size));
  ExpectParts(Refusal(text + "x"), {"no valid JSON"});
  ExpectParts(Refusal("[]"), {"expected a JSON object"});
  ExpectParts(Refusal("7"), {"expected a JSON object"});
  ExpectParts(Refusal(With("\"epoch\": 2", "\"epoch\": " + std::string(1'000'000, '['))), {"nested more than"});
}

TEST(TrainerState, FindsEveryFlippedBit) {
  const TrainerState state = Example();
  const std::string text = FormatTrainerState(state);
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    try {
      EXPECT_EQ(ParseTrainerState(damaged, "train.json"), state) << "bit " << bit;  // a flip that changes no value
    } catch (const IoError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, text.size() * 7);
}

TEST(TrainerState, RefusesToWriteWhatItCouldNotRead) {
  TrainerState negative = Example();
  negative.step = -1;
  ExpectParts(ErrorOf<ArgumentError>([&] { FormatTrainerState(negative); }), {"global_step is \"-1\""});
  TrainerState path = Example();
  path.checkpoints[0] = "runs/step10";
  ExpectParts(ErrorOf<ArgumentError>([&] { FormatTrainerState(path); }), {"checkpoints[0]"});
  TrainerState text = Example();
  text.files[0].name = "\xff";
  ExpectParts(ErrorOf<ArgumentError>([&] { FormatTrainerState(text); }), {"UTF-8"});
}

}  // namespace
}  // namespace coat
