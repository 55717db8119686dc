// The built `coat` as a user meets it: exit codes, one clear message, nothing overwritten.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/support/coat_process.h"
#include "tests/support/temp_dir.h"
#include "tools/commands.h"

namespace coat {
namespace {

/// Expects one line "coat: error: ..." with the parts, nothing on standard output, and the exit code.
void ExpectError(const Outcome& outcome, int exit_code, std::initializer_list<std::string_view> parts) {
  ExpectFailure(outcome, exit_code, parts);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("coat: error: ")) << outcome.err;
}

const std::string kTinyConfig = COAT_SOURCE_DIR "/configs/tiny/tiny-coat-both.yaml";

TEST(CommandLine, HelpOfEveryCommandHasAnExample) {
  ExpectParts(RunCoat({"--help"}).out,
              {"train", "eval", "plan", "config", "tokenize", "convert", "generate", "report", "info", "Exit codes"});
  for (const char* command : {"train", "eval", "plan", "config", "tokenize", "convert", "generate", "report", "info"}) {
    const Outcome outcome = RunCoat({command, "--help"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "");
    ExpectParts(outcome.out, {fmt::format("Usage: coat {}", command), "Example", fmt::format("  coat {}", command)});
  }
}

TEST(CommandLine, RefusesWhatItDoesNotKnowAndNamesTheNearest) {
  ExpectError(RunCoat({}), 2,
              {"a command is missing", "train, eval, plan, config, tokenize, convert, generate, report, info"});
  ExpectError(RunCoat({"trian", "x.yaml"}), 2, {"trian: no such command; did you mean train?"});
  ExpectError(RunCoat({"--verion"}), 2, {"--verion", "did you mean --version?"});
  ExpectError(RunCoat({"train", "x.yaml", "--thread=3"}), 2, {"--thread", "did you mean --threads?"});
  ExpectError(RunCoat({"train", "x.yaml", "--save_overwite"}), 2, {"did you mean --save_overwrite?"});
  ExpectError(RunCoat({"info", "--hlep"}), 2, {"--hlep", "did you mean --help?"});
}

TEST(CommandLine, RefusesArgumentsThatAreMissingTooManyOrNoNumbers) {
  for (const char* command : {"train", "eval", "plan", "config"}) ExpectError(RunCoat({command}), 2, {"is missing"});
  ExpectError(RunCoat({"train", "a.yaml", "b.yaml"}), 2, {"b.yaml: unexpected argument"});
  ExpectError(RunCoat({"train", "a.yaml", "--stop_at", "10"}), 2, {"10: unexpected argument", "in one piece"});
  ExpectError(RunCoat({"tokenize", "a.txt"}), 2, {"at least one input file"});
  ExpectError(RunCoat({"tokenize", "a.txt", "b.npy", "--tokenizer", "gpt2"}), 2,
              {"gpt2", "accepted: bytes, or the path"});
  ExpectError(RunCoat({"tokenize", "a.txt", "b.npy", "--dtype", "int8"}), 2, {"int8; accepted: uint16, uint32"});
  ExpectError(RunCoat({"tokenize", "a.txt", "b.npy", "--validation", "0.5"}), 2, {"--validation"});
}

TEST(CommandLine, SaysWhichNumbersAnOptionTakes) {
  const std::string most = "9223372036854775807";
  const auto refused = [](std::vector<std::string> command, const std::string& option, const std::string& value,
                          const std::string& accepted) {
    command.insert(command.end(), {option, value});
    ExpectError(RunCoat(command), 2, {fmt::format("{}: found {}; accepted: {}", option, value, accepted)});
  };
  for (const char* const command : {"train", "eval", "generate"}) {
    for (const char* const value : {"0", "4097", "two", "010"}) {
      refused({command, "x"}, "--threads", value, "a whole number from 1 to 4096");
    }
  }
  for (const char* const value : {"-1", "18446744073709551616", "010", "0x10", "1.5"}) {
    refused({"generate", "x"}, "--seed", value, "a whole number from 0 to " + most);
  }
  refused({"generate", "x"}, "--top_k", "99999999999999999999", "a whole number from 0 to " + most);
  refused({"generate", "x"}, "--max_new_tokens", "0", "a whole number from 1 to " + most);
  refused({"generate", "x"}, "--temperature", "0,7", "a number such as 0.5");
  refused({"generate", "x"}, "--top_p", "nan", "a number such as 0.5");
  refused({"plan", kTinyConfig}, "--ranks", "010", "a whole number from 1 to 1048576");
  refused({"plan", kTinyConfig}, "--gpus_per_node", "0x8", "a whole number from 1 to 1048576");
  refused({"convert", "a", "b"}, "--shard_size", "1GB", "a whole number from 1 to " + most);
  refused({"tokenize", "a", "b"}, "--shard_size", "1GB", "a whole number from 1 to " + most);
  refused({"tokenize", "a", "b"}, "--eos_token_id", "-1", "a whole number from 0 to 2147483647");
  ExpectError(RunCoat({"tokenize", "a", "b", "--validation", "0,1", "c"}), 2,
              {"--validation: found 0,1; accepted: a number such as 0.5"});
  ExpectError(RunCoat({"tokenize", "a", "b", "--validation", "0", "c"}), 2, {"is 0; it must be above 0 and below 1"});
}

TEST(CommandLine, TokenizesRequests) {
  const TempDir folder;
  const std::string line = R"({"doc_id":0,"idx":0,"label":0,"request":{"context":"Q","continuation":" a"}})";
  const std::string input = folder.Write("in.jsonl", line + "\n");
  const std::string output = folder.File("out.jsonl");
  const Outcome outcome = RunCoat({"tokenize", "--requests", input, output});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "1 request in " + output + "\n");
  ExpectParts(folder.Read("out.jsonl"), {R"("context_ids":[81],"continuation_ids":[32,97])"});
  ExpectError(RunCoat({"tokenize", "--requests", input, output}), 1, {"out.jsonl"});
  ExpectError(RunCoat({"tokenize", "--requests", input}), 2, {"found 1 file; accepted: a request file and the file"});
  ExpectError(RunCoat({"tokenize", "--requests", input, output, "--dtype=uint16"}), 2, {"--dtype", "for token files"});
}

TEST(CommandLine, ConvertRefusesWhatItCannotWriteOrWouldLose) {
  const TempDir folder;
  const std::string model = folder.File("model");
  folder.Write("model/config.json", "{}");
  const std::string out = folder.File("out");
  ExpectError(RunCoat({"convert", model}), 2, {"the folder to write"});
  ExpectError(RunCoat({"convert", folder.path(), out}), 1, {"is no model", "train.json", "config.json"});
  ExpectError(RunCoat({"convert", folder.File("nope"), out}), 1, {"nope: no such file or directory"});
  ExpectError(RunCoat({"convert", model, out, "--to", "gguf"}), 2, {"gguf; accepted: coat, hf, olmo"});
  ExpectError(RunCoat({"convert", model, out, "--dtype", "int8"}), 2, {"int8; accepted: float32, bfloat16, float16"});
  ExpectError(RunCoat({"convert", model, out, "--dtype", "float16"}), 2, {"float16; accepted: float32"});
  ExpectError(RunCoat({"convert", model, out, "--shard_size", "0"}), 2, {"--shard_size"});
  ExpectError(RunCoat({"convert", model, out, "--shard_size", "9"}), 2, {"--shard_size: a checkpoint is one file"});
  ExpectError(RunCoat({"convert", model, out, "--names", "coat"}), 2, {"--names", "accepted with --to olmo"});
  ExpectError(RunCoat({"convert", model, out, "--to", "olmo", "--names", "x"}), 2, {"found x; accepted: olmo, coat"});
  ExpectError(RunCoat({"convert", model, model + "/", "--overwrite"}), 2, {"accepted: another folder"});
  ExpectError(RunCoat({"convert", model, folder.path(), "--overwrite"}), 2, {"accepted: another folder"});
  ExpectError(RunCoat({"convert", model, out}), 2, {"config.json: architectures: found nothing", "OlmoForCausalLM"});
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>{"model"});
}

TEST(CommandLine, NamesTheWordsThatAnOptionTakes) {
  ExpectError(RunCoat({"train", kTinyConfig, "--device=gpu"}), 2, {"--device is gpu; accepted: auto, cpu, cuda"});
  ExpectError(RunCoat({"train", kTinyConfig, "--gemm=int8"}), 2, {"--gemm is int8; accepted: auto, bf16, fp8"});
  ExpectError(RunCoat({"train", kTinyConfig, "--device"}), 2, {"--device"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--device=cpu"}), 2, {"device"});
}

TEST(CommandLine, NamesTheKeyThatAConfigurationGetsWrong) {
  const TempDir folder;
  const std::string path = folder.Write("run.yaml", "run_name: x\nmodel:\n  d_modle: 64\n");
  for (const char* command : {"train", "eval", "plan", "config"}) {
    ExpectError(RunCoat({command, path}), 2, {path + ":3", "model.d_modle", "d_model"});
    ExpectError(RunCoat({command, folder.File("none.yaml")}), 2, {"none.yaml", "No such file"});
  }
  ExpectError(RunCoat({"plan", kTinyConfig, "--quantize_model.use_quantize_model=coat"}), 2,
              {"--quantize_model.use_quantize_model", "coat_real"});
  ExpectError(RunCoat({"train", kTinyConfig, "--data.paths=[]"}), 2, {"data.paths"});
}

TEST(CommandLine, EvalSaysWhatItReadsWhereItIsGivenSomethingElse) {
  const TempDir folder;
  const std::string none = folder.File("none");
  ExpectError(RunCoat({"eval", none}), 2, {none + ": No such file", "a checkpoint", "a configuration (a YAML file)"});
  ExpectError(RunCoat({"eval", folder.path()}), 2, {folder.path() + " is not a checkpoint", "a configuration"});
  folder.Write("olmo/model.pt", "");
  const std::string olmo = folder.File("olmo");
  ExpectError(RunCoat({"eval", olmo}), 2, {olmo + " is not a checkpoint", "`coat convert " + olmo + " OUT` makes one"});
}

TEST(CommandLine, ConfigPrintsAllKeysWithOverrides) {
  const Outcome outcome = RunCoat({"config", kTinyConfig, "--optimizer.learning_rate=1e-4", "--evaluators=[]"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"run_name: tiny-coat-both\n", "learning_rate: 1.0e-4\n", "evaluators: []\n"});
  const TempDir folder;
  const std::string path = folder.Write("dumped.yaml", outcome.out);
  EXPECT_EQ(RunCoat({"config", path}).out, outcome.out);
}

TEST(CommandLine, ConfigAndPlanNeedNoPathThatARunWillFind) {
  for (const char* const command : {"config", "plan"}) {
    for (const char* const override :
         {"--load_path=${path.last_checkpoint:nope}", "--load_path=${path.choose:nope,nor this}",
          "--data.paths=['${path.choose:nope}']", "--data.paths=${path.glob:nope/*.npy}",
          "--data={datasets: {a: '${path.glob:nope/*.npy}'}, paths: null}",
          "--evaluators=[{label: piqa, type: downstream, requests: '${path.glob:nope/*.jsonl}'}]"}) {
      const Outcome outcome = RunCoat({command, kTinyConfig, override});
      EXPECT_EQ(outcome.exit_code, 0) << command << " " << override << ": " << outcome.err;
    }
  }
}

TEST(CommandLine, ConfigPrintsTheDocumentationOfEveryKey) {
  const Outcome outcome = RunCoat({"config", "--reference"});
  EXPECT_EQ(outcome.exit_code, 0);
  ExpectParts(outcome.out, {"# Configuration\n", "| `optimizer` |", "| `d_model` |"});
}

TEST(CommandLine, PlanPrintsATableOrJson) {
  const Outcome table = RunCoat({"plan", kTinyConfig});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  ExpectParts(table.out, {"masters", "gradients", "moments", "saved", "total"});
  const Outcome json = RunCoat({"plan", kTinyConfig, "--json"});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_TRUE(json.out.starts_with("{\"plans\":[{")) << json.out;
  EXPECT_EQ(json.out.find('\n'), json.out.size() - 1);
}

TEST(CommandLine, PlanOfSeveralRanksAndTheirSpeed) {
  const Outcome table = RunCoat({"plan", kTinyConfig, "--ranks", "4"});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  ExpectParts(table.out, {"of each of 4 ranks", "FULL_SHARD", "exchange"});
  EXPECT_EQ(table.out.find("COAT as published"), std::string::npos);
  const Outcome json = RunCoat({"plan", kTinyConfig, "--ranks", "4", "--json"});
  EXPECT_TRUE(json.out.starts_with("{\"ranks\":4,\"strategy\":\"FULL_SHARD\",\"plans\":[{")) << json.out;
  const Outcome speed = RunCoat({"plan", kTinyConfig, "--ranks", "4", "--gpu", "h100", "--interconnect", "450,50"});
  EXPECT_EQ(speed.exit_code, 0) << speed.err;
  ExpectParts(speed.out, {"of each of 4 ranks", "an estimate", "tokens/s of all", "Bound by"});
  const Outcome both = RunCoat({"plan", kTinyConfig, "--ranks", "4", "--gpu", "h100", "--json"});
  ExpectParts(both.out, {"\"plans\":[{", "\"prediction\":{"});
  EXPECT_EQ(both.out.find('\n'), both.out.size() - 1);
}

TEST(CommandLine, PlanRefusesRanksAndGpusThatCannotBe) {
  ExpectError(RunCoat({"plan", kTinyConfig, "--ranks", "0"}), 2, {"--ranks", "0"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--ranks", "3"}), 2, {"global_train_batch_size", "3 ranks"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--ranks", "4", "--distributed_strategy=single"}), 2, {"found single"});
  const std::string hybrid = "--fsdp.sharding_strategy=HYBRID_SHARD";
  const std::string replicas = "fsdp.hybrid_sharding_num_model_replicas";
  ExpectError(RunCoat({"plan", kTinyConfig, "--ranks", "4", hybrid}), 2, {replicas, "missing"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--ranks", "4", hybrid, "--" + replicas + "=3"}), 2, {replicas, "found 3"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--gpu", "b200"}), 2, {"b200; accepted: a100, h100, h200"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--interconnect", "ib400"}), 2, {"accepted with --gpu"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--gpu", "h100", "--interconnect", "450"}), 2, {"450; accepted: nvlink"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--gpu", "h100", "--gpus_per_node", "0"}), 2, {"--gpus_per_node"});
  ExpectError(RunCoat({"plan", kTinyConfig, "--ranks", "4", "--gpu", "h100", "--gpus_per_node", "2", "--interconnect",
                       "nvlink"}),
              2, {"2 GPUs of one node"});
}

TEST(CommandLine, InfoNamesVersionProcessorGpuAndLibraries) {
  const Outcome outcome = RunCoat({"info"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"coat ", "commit ", "\ngpu        ", "\ncpu        ", "threads", "GiB", "blas ",
                            "yaml-cpp 0.", "fmt ", "nlohmann-json 3.", "CLI11 2.", "zlib 1."});
}

TEST(CommandLine, InfoSaysWhyThereIsNoGpu) {
  const Outcome outcome = RunCoat({"info"}, [] { ::setenv("CUDA_VISIBLE_DEVICES", "", 1); });
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectParts(outcome.out, {"\ngpu        ", "--device=cpu"});
}

TEST(CommandLine, TokenizeWritesBothFilesAndReplacesOnlyWhenAsked) {
  const TempDir folder;
  const std::string text = folder.Write("a.txt", "0123456789");
  const std::string train = folder.File("train.npy"), validation = folder.File("validation.npy");
  const std::vector<std::string> command = {"tokenize", text, train, "--validation", "0.5", validation};
  const Outcome outcome = RunCoat(command);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.out, fmt::format("1 document, 10 bytes, 11 tokens: 6 in {}, 5 in {}\n", train, validation));
  EXPECT_EQ(folder.Read(train).size(), 12u);
  EXPECT_EQ(folder.Read(validation), std::string("6\0007\0008\0009\0\0\1", 10));

  folder.Write("a.txt", "x");
  ExpectError(RunCoat(command), 1, {"exists"});
  EXPECT_EQ(folder.Read(train).size(), 12u);
  std::vector<std::string> again = command;
  again.push_back("--overwrite");
  EXPECT_EQ(RunCoat(again).exit_code, 0);
  EXPECT_EQ(folder.Read(train).size(), 2u);
}

TEST(CommandLine, TokenizeReportsAnInputThatIsMissing) {
  const TempDir folder;
  ExpectError(RunCoat({"tokenize", folder.File("none.txt"), folder.File("out.npy")}), 1, {"none.txt"});
}

TEST(CommandLine, ReportsThatStandardOutputCannotBeWritten) {
  const Outcome outcome =
      RunCoat({"config", "--reference"}, [] { ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO); });
  ExpectError(outcome, 1, {"standard output cannot be written"});
}

TEST(CommandLine, KeepsItsExitCodeWhereStandardErrorCannotBeWritten) {
  EXPECT_EQ(RunCoat({"nonsense"}, [] { ::dup2(::open("/dev/full", O_WRONLY), STDERR_FILENO); }).exit_code, 2);
  EXPECT_EQ(RunCoat({"nonsense"}, [] { ::close(STDERR_FILENO); }).exit_code, 2);
}

}  // namespace
}  // namespace coat
