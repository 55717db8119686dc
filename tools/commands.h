#pragma once
// The commands of `coat`, one file each; main.cpp reads their arguments.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/enumerations.h"
#include "engine/compute_device.h"
#include "generate/sampler.h"

namespace coat {

/// Exit codes of every command. A second SIGINT ends a run at once with 130 (output/stop_signal.h).
inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;  // at run time: a file, the memory, the training itself
inline constexpr int kExitUsage = 2;    // a command line or a configuration that cannot be honored
inline constexpr int kExitStopped = 3;  // by a signal or time_limit: a run has saved

/// A configuration file and what the command line sets on top of it.
struct ConfigArguments {
  std::string file;
  std::vector<std::string> overrides;  // "--key.path=value", checked to look like that
};

struct TrainArguments {
  ConfigArguments config;
  DeviceOptions device;
};
/// Trains. Returns kExitSuccess or kExitStopped; throws the errors of base/error.h.
int RunTrainCommand(const TrainArguments& arguments);

struct EvalArguments {
  ConfigArguments config;  // its file may be a checkpoint's folder
  DeviceOptions device;
  std::vector<std::string> data;           // "label=file,file"
  std::vector<std::string> requests;       // likewise
  std::string metrics;                     // "acc,len_norm", or "" for each evaluator's own
  std::optional<EvaluationRecipe> recipe;  // for all evaluators
  std::string output;                      // "" for none
  std::string details;                     // likewise
  bool overwrite = false;
};
/// Evaluates a checkpoint, prints a table and writes the files asked for.
int RunEvalCommand(const EvalArguments& arguments);

struct PlanArguments {
  ConfigArguments config;
  bool json = false;
  int ranks = 1;
  std::string gpu;           // "h100"; "": no prediction. The others are of the prediction.
  std::string interconnect;  // "ib400", "450,50"; "": as the GPU's maker connects it
  std::optional<int> gpus_per_node;
};
/// Prints the memory that the configuration needs and, for a GPU, a prediction of its speed.
int RunPlanCommand(const PlanArguments& arguments);

/// Prints the effective configuration, and fails if this build cannot honor it.
int RunConfigCommand(const ConfigArguments& arguments);
/// Prints docs/config.md.
int RunConfigReferenceCommand();

struct TokenizeArguments {
  std::vector<std::string> files;  // the inputs and, last, the output
  std::string tokenizer;
  std::optional<std::string> dtype;
  std::optional<std::int32_t> eos_token_id;
  std::optional<std::int64_t> shard_bytes;
  double validation_fraction = 0;
  std::string validation_file;
  bool requests = false;  // the one input is a request file, and gets token ids
  bool overwrite = false;
};
/// Makes token files from text, or a request file with token ids from one without, and prints how much there was.
int RunTokenizeCommand(const TokenizeArguments& arguments);

struct ConvertArguments {
  std::string from;
  std::string to_folder;
  std::string to;  // the kind to write: "coat", "hf", "olmo"; "" is coat, and hf if `from` is a checkpoint of ours
  std::optional<std::string> dtype;
  std::optional<std::int64_t> shard_bytes;
  std::optional<std::string> names;  // with olmo: whose names, "olmo" or "coat"
  bool weights_only = false;
  bool overwrite = false;
};
/// Converts a model between a checkpoint and the formats of others, and prints how much there was.
int RunConvertCommand(const ConvertArguments& arguments);

struct GenerateArguments {
  std::string checkpoint;
  std::optional<std::string> prompt;      // with neither of these two, standard input is the prompt
  std::optional<std::string> prompt_ids;  // "1,2,3"
  std::string tokenizer;                  // as OpenTokenizer takes it; "": the checkpoint's
  std::optional<std::int64_t> max_new_tokens;
  SamplingOptions sampling;
  std::optional<Precision> precision;  // none: the checkpoint's
  bool no_cache = false;
  bool print_ids = false;
  DeviceOptions device;
};
/// Goes on with a text, and prints what is added as it comes. Returns kExitSuccess or kExitStopped.
int RunGenerateCommand(const GenerateArguments& arguments);

struct ReportArguments {
  std::vector<std::string> runs;  // save folders
  std::string output;
  bool overwrite = false;
};
/// Writes one HTML page that compares runs.
int RunReportCommand(const ReportArguments& arguments);

/// Prints what was built and what the machine has.
int RunInfoCommand();

}  // namespace coat
