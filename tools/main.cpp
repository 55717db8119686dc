// The `coat` command: reads the command line, runs one command, and turns what went wrong into a message and an exit
// code. The only file that includes CLI11, which takes seconds to compile.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/standard_streams.h"
#include "comm/launch.h"
#include "config/text.h"
#include "output/stop_signal.h"
#include "tools/arguments.h"
#include "tools/build_information.h"
#include "tools/commands.h"
#include "tools/cpu_features.h"
#include "tools/failure.h"
#include "tools/help_texts.h"
#include "tools/rank_command.h"

namespace coat {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

/// A command with its options: what to run when it is the one that was given.
struct Command {
  CLI::App* app = nullptr;
  bool takes_overrides = false;
  std::function<int(std::vector<std::string> overrides)> run;
  bool takes_ranks = false;  // a launcher may start several processes of it
};

/// CLI11's help with a first line of our own, because the parser does not know of keys and what becomes of extra words.
class HelpText : public CLI::Formatter {
 public:
  explicit HelpText(std::string usage) : usage_(std::move(usage)) { column_width(28); }
  std::string make_usage(const CLI::App*, std::string) const override {
    return fmt::format("Usage: coat {}\n", usage_);
  }

 private:
  std::string usage_;
};

std::vector<std::string> OptionNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

CLI::App* AddApp(CLI::App& coat, const char* name, const std::string& usage, const char* description,
                 const char* footer) {
  CLI::App* const app = coat.add_subcommand(name, description);
  app->formatter(std::make_shared<HelpText>(fmt::format("{} {}", name, usage)));
  app->footer(footer);
  app->allow_extras();
  return app;
}

CLI::App* AddConfigApp(CLI::App& coat, const char* name, const char* description, const char* footer,
                       std::string& file) {
  CLI::App* const app = AddApp(coat, name, "FILE [--key.path=value ...] [OPTIONS]", description, footer);
  app->add_option("FILE", file, "the configuration, YAML")->option_text(" ");
  return app;
}

/// `file` and `overrides` as arguments of a command that cannot do without a file.
ConfigArguments RequireConfig(const std::string& command, const std::string& file, std::vector<std::string> overrides) {
  if (file.empty())
    throw UsageError(fmt::format("{}: a configuration file is missing; see coat {} --help", command, command));
  return {.file = file, .overrides = std::move(overrides)};
}

/// An option that takes one of a few words.
template <class T>
CLI::Option* AddChoice(CLI::App& app, const char* name, T& value, const std::map<std::string, T>& words,
                       const char* text) {
  std::vector<std::string> accepted;
  for (const auto& [word, unused] : words) accepted.push_back(word);
  return app
      .add_option_function<std::string>(
          name,
          [&value, words, accepted, name](const std::string& word) {
            const auto found = words.find(word);
            if (found == words.end()) {
              throw UsageError(fmt::format("{} is {}; accepted: {}", name, word, Joined(accepted, ", ")));
            }
            value = found->second;
          },
          text)
      ->type_name("WORD");
}

/// An option that takes a whole number. By itself the parser would take 010 for 8 and clamp what is out of range.
template <class T>
void AddWholeNumber(CLI::App& app, const char* name, T& value, std::int64_t least, std::int64_t most, const char* text,
                    const char* type_name = "N") {
  const auto read = [&value, name, least, most](const std::string& word) {
    value = static_cast<T>(WholeNumber(name, word, least, most));
  };
  app.add_option_function<std::string>(name, read, text)->type_name(type_name);
}

void AddNumber(CLI::App& app, const char* name, double& value, const char* text, const char* type_name) {
  const auto read = [&value, name](const std::string& word) { value = DecimalNumber(name, word); };
  app.add_option_function<std::string>(name, read, text)->type_name(type_name);
}

void AddThreads(CLI::App& app, int& threads) {
  AddWholeNumber(app, "--threads", threads, 1, 4096, "on cpu: threads to compute with; default: one a core");
}

/// The options about the device, and what they say once all are read.
struct DeviceArguments {
  DeviceOptions device;
  bool no_graphs = false;
  bool fast_attention = false;

  void AddTo(CLI::App& app, bool trains) {
    AddChoice(app, "--device", device.device,
              {{"auto", DeviceChoice::kAuto}, {"cpu", DeviceChoice::kCpu}, {"cuda", DeviceChoice::kCuda}},
              "auto (default: the GPU if there is one), cpu or cuda");
    AddThreads(app, device.threads);
    AddChoice(app, "--gemm", device.cuda.gemm, {cuda::kGemmModes.begin(), cuda::kGemmModes.end()},
              "on cuda, FP8 products: auto (default: as the GPU can), fp8 (on FP8 tensor cores) or bf16 (decoded)");
    app.add_flag("--no_cuda_graphs", no_graphs, "on cuda: start every kernel by itself; the results are the same");
    if (!trains) return;
    app.add_flag("--fast_attention", fast_attention,
                 "on cuda: a faster attention backward, whose results differ in the last bits from run to run");
  }

  DeviceOptions Read() const {
    DeviceOptions options = device;
    options.cuda.graphs = !no_graphs;
    options.cuda.deterministic_attention = !fast_attention;
    return options;
  }
};

Command AddTrain(CLI::App& coat) {
  struct State {
    std::string file;
    DeviceArguments device;
  };
  const auto state = std::make_shared<State>();
  CLI::App* const app = AddConfigApp(coat, "train", "Train a model", kTrainFooter, state->file);
  state->device.AddTo(*app, /*trains=*/true);
  return {app, true,
          [state](std::vector<std::string> overrides) {
            return RunTrainCommand({RequireConfig("train", state->file, std::move(overrides)), state->device.Read()});
          },
          /*takes_ranks=*/true};
}

Command AddEval(CLI::App& coat) {
  struct State {
    std::string from;
    DeviceArguments device;
    EvalArguments arguments;
    EvaluationRecipe recipe = EvaluationRecipe::kPlain;
  };
  const auto state = std::make_shared<State>();
  EvalArguments& arguments = state->arguments;
  CLI::App* const app =
      AddApp(coat, "eval", "FROM [--key.path=value ...] [OPTIONS]", "Evaluate a checkpoint", kEvalFooter);
  app->add_option("FROM", state->from, "a checkpoint, or a configuration")->option_text(" ");
  const auto list = [&](const char* name, std::vector<std::string>& values, const char* text) {
    app->add_option(name, values, text)->type_name("LABEL=FILE,...")->take_all()->expected(1);
  };
  list("--data", arguments.data, "token files of which to take the loss, under a label; may be given again");
  list("--requests", arguments.requests, "request files of a task, under its name; may be given again");
  app->add_option("--metrics", arguments.metrics,
                  "of the tasks; default: the configuration's; of --requests all but pmi_dc and f1")
      ->type_name("NAME,...");
  CLI::Option* const recipe = AddChoice(
      *app, "--recipe", state->recipe, {{"plain", EvaluationRecipe::kPlain}, {"training", EvaluationRecipe::kTraining}},
      "plain (default: without FP8) or training (as the training's forward pass)");
  app->add_option("--output", arguments.output, "write the results to this file, JSON")->type_name("FILE");
  app->add_option("--details", arguments.details, "write each request's log-likelihood to this file, JSONL")
      ->type_name("FILE");
  app->add_flag("--overwrite", arguments.overwrite, "replace files that exist");
  state->device.AddTo(*app, /*trains=*/false);
  return {app, true, [state, recipe](std::vector<std::string> overrides) {
            if (state->from.empty()) throw UsageError("eval: a checkpoint is missing; see coat eval --help");
            state->arguments.config = {.file = state->from, .overrides = std::move(overrides)};
            state->arguments.device = state->device.Read();
            if (recipe->count() > 0) state->arguments.recipe = state->recipe;
            return RunEvalCommand(state->arguments);
          }};
}

Command AddPlan(CLI::App& coat) {
  struct State {
    std::string file;
    PlanArguments arguments;
  };
  const auto state = std::make_shared<State>();
  PlanArguments& arguments = state->arguments;
  CLI::App* const app = AddConfigApp(coat, "plan", "Print memory needed and predict speed", kPlanFooter, state->file);
  AddWholeNumber(*app, "--ranks", arguments.ranks, 1, 1 << 20, "ranks that share the model; default: 1");
  app->add_option("--gpu", arguments.gpu, "predict the speed on a100, h100 or h200")->type_name("WORD");
  app->add_option("--interconnect", arguments.interconnect,
                  "nvlink, pcie, ib400, ib200, or GB/s a GPU within and between nodes: 450,50; default: as in DGX")
      ->type_name("WORD");
  AddWholeNumber(*app, "--gpus_per_node", arguments.gpus_per_node, 1, 1 << 20, "default: 8");
  app->add_flag("--json", arguments.json, "print one line of JSON");
  return {app, true,
          [state](std::vector<std::string> overrides) {
            if (LaunchedRank() > 0) return kExitSuccess;  // rank 0 prints it
            state->arguments.config = RequireConfig("plan", state->file, std::move(overrides));
            return RunPlanCommand(state->arguments);
          },
          /*takes_ranks=*/true};
}

Command AddConfig(CLI::App& coat) {
  struct State {
    std::string file;
    bool reference = false;
  };
  const auto state = std::make_shared<State>();
  CLI::App* const app =
      AddConfigApp(coat, "config", "Check the keys of a configuration and print them all; opens no data", kConfigFooter,
                   state->file);
  app->add_flag("--reference", state->reference, "print the documentation of every key instead");
  return {app, true, [state](std::vector<std::string> overrides) {
            if (!state->reference) return RunConfigCommand(RequireConfig("config", state->file, std::move(overrides)));
            if (state->file.empty() && overrides.empty()) return RunConfigReferenceCommand();
            throw UsageError("config: --reference takes no configuration");
          }};
}

Command AddTokenize(CLI::App& coat) {
  struct State {
    TokenizeArguments arguments;
    std::pair<std::string, std::string> validation;  // the fraction and the file
  };
  const auto state = std::make_shared<State>();
  TokenizeArguments& arguments = state->arguments;
  arguments.tokenizer = "bytes";
  CLI::App* const app =
      AddApp(coat, "tokenize", "IN... OUT.npy [OPTIONS]", "Make token files from text", kTokenizeFooter);
  app->add_option("FILES", arguments.files, "the files to read, then the one to write")->option_text("IN... OUT.npy");
  app->add_option("--tokenizer", arguments.tokenizer, "bytes (default), or the path of a tokenizer.json")
      ->type_name("NAME");
  app->add_option("--dtype", arguments.dtype, "type of a token: uint16 or uint32; default: the first that is enough")
      ->type_name("TYPE");
  AddWholeNumber(*app, "--eos_token_id", arguments.eos_token_id, 0, std::numeric_limits<std::int32_t>::max(),
                 "ends a document; default: <|endoftext|>, 256 of bytes", "ID");
  AddWholeNumber(*app, "--shard_size", arguments.shard_bytes, 1, kMost,
                 "write files of at most so many bytes: OUT-00000.npy, ...", "BYTES");
  CLI::Option* const validation =
      app->add_option("--validation", state->validation, "the last part of the tokens (say 0.05) to a file of its own")
          ->type_name("FRACTION VAL.npy");
  app->add_flag("--requests", arguments.requests,
                "IN is a request file of `coat eval`: write it to OUT with token ids");
  app->add_flag("--overwrite", arguments.overwrite, "replace output files that exist");
  return {app, false, [state, validation](const std::vector<std::string>&) {
            if (validation->count() > 0) {
              state->arguments.validation_fraction = DecimalNumber("--validation", state->validation.first);
              state->arguments.validation_file = state->validation.second;
            }
            return RunTokenizeCommand(state->arguments);
          }};
}

Command AddConvert(CLI::App& coat) {
  const auto arguments = std::make_shared<ConvertArguments>();
  CLI::App* const app =
      AddApp(coat, "convert", "IN OUT [OPTIONS]",
             "Convert models between checkpoints, Hugging Face directories and OLMo's own files", kConvertFooter);
  app->add_option("IN", arguments->from, "the model to read")->option_text(" ");
  app->add_option("OUT", arguments->to_folder, "the folder to write")->option_text(" ");
  app->add_option("--to", arguments->to, "what to write: coat, hf or olmo; default: hf of a checkpoint, else coat")
      ->type_name("KIND");
  app->add_option("--dtype", arguments->dtype, "with hf and olmo: float32 (default), bfloat16 or float16")
      ->type_name("TYPE");
  AddWholeNumber(*app, "--shard_size", arguments->shard_bytes, 1, kMost,
                 "with hf: the most bytes of tensors in a file; default: 5000000000", "BYTES");
  app->add_option("--names", arguments->names, "with olmo: olmo (default), or coat for the names of COAT's fork")
      ->type_name("NAMES");
  app->add_flag("--weights_only", arguments->weights_only, "leave IN's optimizer state and place in the data alone");
  app->add_flag("--overwrite", arguments->overwrite, "replace OUT if it is a model");
  return {app, false, [arguments](const std::vector<std::string>&) { return RunConvertCommand(*arguments); }};
}

Command AddGenerate(CLI::App& coat) {
  const auto arguments = std::make_shared<GenerateArguments>();
  CLI::App* const app =
      AddApp(coat, "generate", "CHECKPOINT [OPTIONS]", "Go on with a text by a trained model", kGenerateFooter);
  app->add_option("CHECKPOINT", arguments->checkpoint, "the model")->option_text(" ");
  app->add_option("--prompt", arguments->prompt, "the text to go on with; default: standard input")->type_name("TEXT");
  app->add_option("--prompt_ids", arguments->prompt_ids, "the same as token ids: 17,4,256")->type_name("IDS");
  app->add_option("--tokenizer", arguments->tokenizer, "bytes or a tokenizer.json; default: the checkpoint's")
      ->type_name("NAME");
  AddWholeNumber(*app, "--max_new_tokens", arguments->max_new_tokens, 1, kMost,
                 "default: 256, or as many as the model takes");
  AddNumber(*app, "--temperature", arguments->sampling.temperature,
            "divides the logits; 0: the likeliest, without top_k and top_p; default: 1", "T");
  AddWholeNumber(*app, "--top_k", arguments->sampling.top_k, 0, kMost, "choose among the k likeliest; default: 0, all",
                 "K");
  AddNumber(*app, "--top_p", arguments->sampling.top_p,
            "choose among the likeliest that together have this probability; default: 1", "P");
  AddWholeNumber(*app, "--seed", arguments->sampling.seed, 0, kMost, "the same seed gives the same text; default: 0");
  AddChoice(
      *app, "--precision", arguments->precision,
      std::map<std::string, std::optional<Precision>>{{"amp_bf16", Precision::kAmpBf16}, {"fp32", Precision::kFp32}},
      "fp32 or amp_bf16; default: the checkpoint's");
  app->add_flag("--print_ids", arguments->print_ids, "print token ids instead of text");
  app->add_flag("--no_cache", arguments->no_cache,
                "compute the whole text anew for every token: slow, to compare with");
  AddChoice(*app, "--device", arguments->device.device,
            {{"auto", DeviceChoice::kAuto}, {"cpu", DeviceChoice::kCpu}, {"cuda", DeviceChoice::kCuda}},
            "auto (default: the GPU if there is one), cpu or cuda");
  AddThreads(*app, arguments->device.threads);
  return {app, false, [arguments](const std::vector<std::string>&) { return RunGenerateCommand(*arguments); }};
}

Command AddReport(CLI::App& coat) {
  const auto arguments = std::make_shared<ReportArguments>();
  arguments->output = "report.html";
  CLI::App* const app =
      AddApp(coat, "report", "RUN... [OPTIONS]", "Make a web page that shows and compares runs", kReportFooter);
  app->add_option("RUN", arguments->runs, "save folders of runs")->option_text("...");
  app->add_option("-o,--output", arguments->output, "the page to write; default: report.html")->type_name("FILE");
  app->add_flag("--overwrite", arguments->overwrite, "replace the page if it exists");
  return {app, false, [arguments](const std::vector<std::string>&) { return RunReportCommand(*arguments); }};
}

Command AddInfo(CLI::App& coat) {
  CLI::App* const app = AddApp(coat, "info", "[OPTIONS]", "Print version, GPU, processor and libraries", kInfoFooter);
  return {app, false, [](const std::vector<std::string>&) { return RunInfoCommand(); }};
}

int Run(int argc, char** argv) {
  CLI::App coat("Trains OLMo models in FP8 by the COAT scheme.", "coat");
  coat.formatter(std::make_shared<HelpText>("COMMAND ..."));
  coat.require_subcommand(1);
  coat.footer(kFooter);
  coat.set_help_flag("-h,--help", "print this help");
  coat.set_version_flag("--version", fmt::format("coat {} ({})", DescribeBuild().version, GitCommit()),
                        "print version and commit");
  const std::vector<Command> commands = {AddTrain(coat),    AddEval(coat),     AddPlan(coat),
                                         AddConfig(coat),   AddTokenize(coat), AddConvert(coat),
                                         AddGenerate(coat), AddReport(coat),   AddInfo(coat)};
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.app->get_name());
  if (argc < 2)
    throw UsageError(fmt::format("a command is missing; accepted: {}; see coat --help", Joined(names, ", ")));
  if (argv[1][0] != '-') RequireCommand(argv[1], names);
  try {
    coat.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return coat.exit(request);
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> options = OptionNames(coat);
    const std::string first = argv[1];
    if (first.starts_with("-")) RequireNoArguments(std::vector<std::string>{first}, options);
    throw UsageError(error.what());
  }
  for (const Command& command : commands) {
    if (!command.app->parsed()) continue;
    if (!command.takes_ranks) RequireOneRank(command.app->get_name());
    std::vector<std::string> rest = command.app->remaining();
    const std::vector<std::string> options = OptionNames(*command.app);
    if (command.takes_overrides) {
      RequireOverrides(rest, options);
    } else {
      RequireNoArguments(rest, options);
    }
    return command.run(std::move(rest));
  }
  throw UsageError("a command is missing; see coat --help");
}

/// Throws Error if this build would end with SIGILL here: it may have been made on another machine.
void RequireCpuFeatures() {
  const CpuDescription cpu = DescribeCpu();
  if (cpu.missing.empty()) return;
  throw Error(
      fmt::format("this build uses {}, which this processor lacks; build it here, or with -DCOAT_CPU_ARCH=x86-64-v3",
                  Joined(cpu.missing, ", ")));
}

int Main(int argc, char** argv) {
  try {
    OccupyStandardDescriptors();
    IgnoreWriteSignals();
    RemoveUnfinishedFilesAtSignals();
    RequireCpuFeatures();
    return Run(argc, argv);
  } catch (const std::exception& error) {
    const Failure failure = FailureOf(error);
    // Ranks that have not joined most likely fail alike: rank 0 speaks as one process.
    PrintFailure(failure, LaunchedRank(), LaunchedRank() == 0 ? 1 : LaunchedRanks());
    return failure.exit_code;
  }
}

}  // namespace
}  // namespace coat

int main(int argc, char** argv) {
  return coat::Main(argc, argv);
}
