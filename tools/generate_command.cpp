#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/standard_streams.h"
#include "base/utf8.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/directory.h"
#include "config/load.h"
#include "convert/check_model.h"
#include "engine/run_checkpoint.h"
#include "generate/generator.h"
#include "output/stop_signal.h"
#include "text/tokenizer.h"
#include "tools/commands.h"
#include "tools/output.h"

namespace coat {

namespace {

constexpr std::int64_t kDefaultTokens = 256;

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string ReadStandardInput() {
  if (::isatty(STDIN_FILENO) != 0) WriteToStandardError("The prompt, to the end of input (Ctrl-D):\n");
  std::string text;
  std::vector<char> piece(1 << 16);
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (count < 0) throw IoError("standard input, which is the prompt, cannot be read");
    if (count == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
}

/// "1, 2,3" as ids below `vocab_size`.
TokenIds ParseIds(const std::string& text, std::int64_t vocab_size) {
  TokenIds ids;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    std::string_view word = rest.substr(0, end);
    while (word.starts_with(' ')) word.remove_prefix(1);
    std::int32_t id = -1;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || stop != word.data() + word.size() || id < 0 || id >= vocab_size) {
      throw UsageError(
          fmt::format("--prompt_ids: found \"{}\"; accepted: ids from 0 to {} between commas", word, vocab_size - 1));
    }
    ids.push_back(id);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return ids;
}

TrainConfig ConfigOfCheckpoint(const std::string& path) {
  if (path.empty()) throw UsageError("generate: a checkpoint is missing; see coat generate --help");
  if (!IsWholeCheckpoint(path) && std::filesystem::exists(path + "/config.json")) {
    throw UsageError(
        fmt::format("{}: is a Hugging Face directory; make a checkpoint of it first: coat convert {} OUT", path, path));
  }
  const TrainConfig config = ParseTrainConfig(CheckpointReader(path).ReadFile(kConfigFile), path + "/" + kConfigFile,
                                              {}, {.check_paths = false});
  CheckModelConfig(config);
  return config;
}

/// The tokenizer of the command line or else of the checkpoint; none where no text comes in or goes out.
std::unique_ptr<Tokenizer> TokenizerFor(const GenerateArguments& arguments, const TrainConfig& config) {
  if (arguments.prompt_ids && arguments.print_ids) {
    if (arguments.tokenizer.empty()) return nullptr;
    throw UsageError("generate: with --prompt_ids and --print_ids there is no text; --tokenizer has nothing to do");
  }
  if (!arguments.tokenizer.empty()) return OpenTokenizer(arguments.tokenizer);
  try {
    return OpenTokenizer(config.tokenizer.identifier);
  } catch (const UsageError& error) {
    throw UsageError(
        fmt::format("{}. The checkpoint names this tokenizer; --tokenizer names another, and --prompt_ids "
                    "with --print_ids needs none",
                    error.what()));
  }
}

TokenIds PromptIds(const GenerateArguments& arguments, const ModelConfig& model, Tokenizer* tokenizer) {
  TokenIds ids;
  if (arguments.prompt_ids) {
    ids = ParseIds(*arguments.prompt_ids, model.vocab_size);
  } else {
    const std::string text = arguments.prompt ? *arguments.prompt : ReadStandardInput();
    const std::size_t end = FindInvalidUtf8(text);
    if (end != text.size() && !tokenizer->takes_pieces()) {
      throw UsageError(fmt::format("the prompt is not UTF-8 from byte {} on", end));
    }
    ids = tokenizer->Encode(text);
    for (const std::int32_t id : ids) {
      if (id < model.vocab_size) continue;
      throw UsageError(fmt::format("the tokenizer {} makes id {} of the prompt; the model has ids 0 to {}",
                                   tokenizer->name(), id, model.vocab_size - 1));
    }
  }
  if (ids.empty()) throw UsageError("the prompt is empty; accepted: a text or ids of at least one token");
  return ids;
}

/// How many tokens to make at the most, and what is said where so many were made.
struct Limit {
  std::int64_t tokens;
  std::string_view reached;
};

Limit LimitOf(const GenerateArguments& arguments, const ModelConfig& model, const TokenIds& prompt) {
  const std::int64_t room = model.max_sequence_length - static_cast<std::int64_t>(prompt.size());
  if (room < 1) {
    throw UsageError(fmt::format("the prompt has {} tokens; the model takes {}, of which one at least is made here",
                                 prompt.size(), model.max_sequence_length));
  }
  if (!arguments.max_new_tokens) {
    if (room < kDefaultTokens) return {room, "as many as the model has room for"};
    return {kDefaultTokens, "as many as by default"};
  }
  const std::int64_t tokens = *arguments.max_new_tokens;
  if (tokens < 1 || tokens > room) {
    throw UsageError(
        fmt::format("--max_new_tokens: found {}; accepted: 1 to {}, which the prompt's {} tokens leave of "
                    "the model's {}",
                    tokens, room, prompt.size(), model.max_sequence_length));
  }
  return {tokens, "as many as asked for"};
}

/// The tokens on standard output as they come: their text in whole characters, or their ids.
class TokenPrinter {
 public:
  explicit TokenPrinter(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  void Add(std::int32_t id) {
    if (tokenizer_ != nullptr) {
      Print(pieces_.Take(tokenizer_->Decode({&id, 1})));
    } else {
      Print(fmt::format("{}{}", std::exchange(separator_, ","), id));
    }
  }
  void Finish() { Print(pieces_.Rest() + "\n"); }

 private:
  const Tokenizer* tokenizer_;  // null: ids
  std::string_view separator_;
  Utf8Pieces pieces_;
};

struct Progress {
  std::int64_t tokens = 0;    // made, without the one that ends the text
  std::int64_t steps = 0;     // runs of the model after the prompt's
  double prompt_seconds = 0;  // until the first token
  double seconds = 0;         // from then on
  std::string_view end;       // why there are no more
};

Progress Generate(Generator& generator, Sampler& sampler, const TokenIds& prompt, const Limit& limit,
                  std::int32_t end_of_text, const StopSignal& stop, TokenPrinter& printer) {
  Progress progress;
  Clock::time_point begin = Clock::now();
  std::span<const float> logits = generator.Start(prompt);
  progress.prompt_seconds = SecondsSince(begin);
  begin = Clock::now();
  for (;;) {
    const std::int32_t id = sampler.Choose(logits, progress.tokens);
    if (id == end_of_text) {
      progress.end = "the end of the text";
      break;
    }
    printer.Add(id);
    if (++progress.tokens == limit.tokens) {
      progress.end = limit.reached;
      break;
    }
    if (stop.requested()) {
      progress.end = "stopped by a signal";
      break;
    }
    logits = generator.Append(id);
    ++progress.steps;
  }
  progress.seconds = SecondsSince(begin);
  return progress;
}

std::string Summary(const Progress& progress, std::size_t prompt_tokens, const std::string& device) {
  std::string text = fmt::format("{} tokens of the prompt in {:.3f} s, {} new tokens", prompt_tokens,
                                 progress.prompt_seconds, progress.tokens);
  if (progress.steps > 0) {
    text += fmt::format(", {:.1f} a second", static_cast<double>(progress.steps) / progress.seconds);
  }
  return fmt::format("{}, on {}; {}\n", text, device, progress.end);
}

}  // namespace

int RunGenerateCommand(const GenerateArguments& arguments) {
  const TrainConfig config = ConfigOfCheckpoint(arguments.checkpoint);
  if (arguments.prompt && arguments.prompt_ids) {
    throw UsageError("generate: accepted is --prompt or --prompt_ids, not both");
  }
  Sampler sampler(arguments.sampling);
  const std::unique_ptr<Tokenizer> tokenizer = TokenizerFor(arguments, config);
  const TokenIds prompt = PromptIds(arguments, config.model, tokenizer.get());
  const Limit limit = LimitOf(arguments, config.model, prompt);
  const bool is_float = (arguments.precision ? arguments.precision : config.precision) == Precision::kFp32;

  DeviceOptions options = arguments.device;
  options.cuda.other_bits = false;  // the same seed gives the same text in every process
  ComputeDevice device = OpenComputeDevice(options);
  if (!device.advice.empty()) WriteToStandardError(fmt::format("coat: warning: {}\n", device.advice));
  Generator generator(config.model,
                      {.compute = is_float ? DType::kF32 : DType::kBF16,
                       .positions = static_cast<std::int64_t>(prompt.size()) + limit.tokens,
                       .cache = !arguments.no_cache},
                      std::move(device.context));
  LoadParameters(CheckpointReader(arguments.checkpoint), generator.context(), generator.model());

  const StopSignal stop;
  TokenPrinter printer(arguments.print_ids ? nullptr : tokenizer.get());
  const Progress progress =
      Generate(generator, sampler, prompt, limit, static_cast<std::int32_t>(config.model.eos_token_id), stop, printer);
  printer.Finish();
  WriteToStandardError(Summary(progress, prompt.size(), device.description));
  return stop.requested() ? kExitStopped : kExitSuccess;
}

}  // namespace coat
