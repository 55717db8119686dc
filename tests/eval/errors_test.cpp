// What `coat eval` refuses.

#include <string>
#include <vector>

#include "tests/eval/eval_folders.h"

namespace coat {
namespace {

class EvalErrors : public EvalFolders {
 protected:
  void ExpectRefused(const std::vector<std::string>& arguments, int exit_code,
                     std::initializer_list<std::string_view> parts) const {
    std::vector<std::string> all = {"eval"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    all.push_back("--device=cpu");
    const Outcome outcome = RunCoat(all);
    ExpectFailure(outcome, exit_code, parts);
    EXPECT_EQ(outcome.out, "");
  }
  std::string Quiz(const std::string& text) const { return "quiz=" + folder_.Write("quiz.jsonl", text); }
};

TEST_F(EvalErrors, OfWhatIsNoCheckpoint) {
  ExpectRefused({}, 2, {"a checkpoint is missing"});
  ExpectRefused({File("none")}, 2, {"none"});
  folder_.Write("empty/x", "");
  ExpectRefused({File("empty")}, 2, {"empty is not a checkpoint; accepted: a folder with train.json"});
  folder_.Write("saves/latest/x", "");
  ExpectRefused({File("saves")}, 2, {"saves is not a checkpoint; accepted:", "saves/latest"});
  folder_.Write("hf/config.json", "{}");
  ExpectRefused({File("hf")}, 2, {"hf is not a checkpoint", "coat convert", "hf OUT"});
}

TEST_F(EvalErrors, OfWhatThereIsToEvaluate) {
  ExpectRefused({model_}, 2,
                {"evaluators: there is nothing to evaluate; accepted: evaluators", "--data or --requests"});
  ExpectRefused({model_ + "/config.yaml", "--requests", "q=" + Questions()}, 2, {"load_path: required"});
  ExpectRefused({model_, "--requests", Questions()}, 2, {"--requests: found", "accepted: LABEL=FILE,FILE"});
  ExpectRefused({model_, "--requests", "q\xff=" + Questions()}, 2, {"evaluators[0].label", "not UTF-8"});
  ExpectRefused({model_, "--data", "=a.npy"}, 2, {"--data: found =a.npy"});
  ExpectRefused({model_, "--data", "a="}, 2, {"--data: found a="});
  ExpectRefused({model_, "--data", "a=" + File("none.npy")}, 1, {"none.npy"});
  ExpectRefused({model_, "--requests", "q=" + File("none.jsonl")}, 1, {"none.jsonl"});
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--requests", "q=" + Questions()}, 2,
                {"evaluators[1].label", "a second evaluation with the label q"});
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--metrics=acc,exact"}, 2,
                {"--metrics: found exact; accepted: acc, len_norm"});
  ExpectRefused({model_, "--data", "v=" + Questions(), "--metrics=acc"}, 2, {"--metrics are those of tasks"});
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--recipe=fp8"}, 2,
                {"--recipe is fp8; accepted: plain, training"});
  ExpectRefused({model_, "--evaluators=[{label: a}]"}, 2, {"evaluators[0].data.paths", "required"});
  for (const std::string key : {"load_path", "try_load_latest_save"}) {
    ExpectRefused({model_, "--data", "v=" + Questions(), "--" + key + "=true"}, 2,
                  {"--" + key + " has no effect beside the checkpoint " + model_});
  }
  for (const std::string key : {"data.paths=[x.npy]", "data.datasets={a: [x.npy]}"}) {
    ExpectRefused({model_, "--" + key}, 2, {" is what is trained on; accepted: --data LABEL=FILE,FILE,..."});
  }
}

TEST_F(EvalErrors, OfMetricsThatTheRequestsDoNotGive) {
  ExpectRefused(
      {model_, "--requests", "q=" + Questions(), "--metrics=f1"}, 2,
      {"evaluators[0].metrics: f1 is asked for, and", "questions.jsonl:1: doc_id 0 has 4 continuations; accepted: 2"});
  ExpectRefused(
      {model_, "--requests", "q=" + Questions(), "--metrics=pmi_dc"}, 2,
      {"questions.jsonl:1: doc_id 0 has no unconditional request for idx 0; accepted: a line with doc_id 1000000"});
  ExpectRefused({model_, "--metrics=len_norm", "--requests",
                 Quiz(R"({"doc_id": 3, "idx": 0, "request": {"context": "a", "continuation": "b"}})")},
                2, {"quiz.jsonl:1: doc_id 3 has a continuation of one character, idx 0; accepted: a blank"});
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--device_eval_batch_size=3", "--eval_subset_num_batches=1"},
                2, {"evaluators[0].subset_num_batches: the first 1 batches of 3 requests hold no question whole"});
}

TEST_F(EvalErrors, OfRequestFiles) {
  ExpectRefused({model_, "--requests", Quiz("")}, 1, {"quiz.jsonl: holds no requests; accepted: lines of {\"doc_id\""});
  ExpectRefused({model_, "--requests", Quiz("{\"doc_id\"\n")}, 1, {"quiz.jsonl:1: is not JSON from column"});
  const std::string question =
      R"({"doc_id": 0, "idx": 0, "label": 1, "request": {"context": "a", "continuation": " b"}})";
  ExpectRefused({model_, "--requests", Quiz(question)}, 1, {"quiz.jsonl:1: label: found 1 for doc_id 0, which has 1"});
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--model.max_sequence_length=32"}, 1,
                {"questions.jsonl:", "accepted: at most 32, the context window"});
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--tokenizer.identifier=gpt2"}, 2,
                {"tokenizer gpt2: there is no such file"});
  const std::string ids = R"({"doc_id": 0, "idx": 0, "request": {"context": "a", "continuation": " b", )"
                          R"("context_ids": [7, 500], "continuation_ids": [1]}})";
  ExpectRefused({model_, "--requests", Quiz(ids)}, 1, {"quiz.jsonl:1: request.context: token 1 is 500", "vocab_size"});
}

// The sign of a NaN says nothing.
TEST_F(EvalErrors, OfALossThatIsNotFinite) {
  const std::string diverged = WriteModel("diverged", true);
  const std::string tokens = folder_.Write("tokens.npy", std::string(2 * 256, '\1'));
  const std::string options[][2] = {{"--data", "v=" + tokens}, {"--requests", "q=" + Questions()}};
  for (const auto& [option, value] : options) {
    const Outcome outcome = RunCoat({"eval", diverged, option, value, "--device=cpu"});
    EXPECT_EQ(outcome.exit_code, 1);
    ExpectParts(outcome.err, {" is nan\n"});
    EXPECT_EQ(outcome.err.find("-nan"), std::string::npos);
  }
}

TEST_F(EvalErrors, OfFilesThatWouldBeLost) {
  folder_.Write("result.json", "mine");
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--output", File("result.json")}, 1, {"result.json"});
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--details", File("result.json")}, 1, {"result.json"});
  EXPECT_EQ(folder_.Read("result.json"), "mine");
}

TEST_F(EvalErrors, OfInputsThatWouldBeLost) {
  const std::string questions = folder_.Write("quiz.jsonl", folder_.Read(Questions()));
  const std::string weights = model_ + "/model.safetensors";
  for (const std::string& input : {questions, weights, model_ + "/config.yaml"}) {
    const std::string before = folder_.Read(input);
    for (const char* const option : {"--output", "--details"}) {
      ExpectRefused({model_, "--requests", "quiz=" + questions, option, input, "--overwrite"}, 2,
                    {input + ": is both an input and an output"});
    }
    EXPECT_EQ(folder_.Read(input), before);
  }
}

TEST_F(EvalErrors, OfAnotherModel) {
  ExpectRefused({model_, "--requests", "q=" + Questions(), "--model.n_layers=3"}, 2, {"model.n_layers"});
}

}  // namespace
}  // namespace coat
