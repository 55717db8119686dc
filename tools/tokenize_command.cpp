#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "output/console.h"
#include "text/tokenize.h"
#include "text/tokenize_requests.h"
#include "tools/commands.h"
#include "tools/output.h"

namespace coat {

namespace {

std::string ProgressText(const TokenizeProgress& progress) {
  const double megabytes = static_cast<double>(progress.consumed_bytes) / 1e6;
  if (progress.total_bytes == 0) return fmt::format("tokenize  {:.1f} MB", megabytes);
  const double share = static_cast<double>(progress.consumed_bytes) / static_cast<double>(progress.total_bytes);
  return fmt::format("tokenize  {:.1f}%  {:.1f} MB of {:.1f} MB", 100 * share, megabytes,
                     static_cast<double>(progress.total_bytes) / 1e6);
}

std::string Count(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string Summary(const TokenizeArguments& arguments, const TokenizeResult& result) {
  const std::string& output = arguments.files.back();
  std::string text =
      fmt::format("{}, {}, {}: {} in {}", Count(result.documents, "document"), Count(result.text_bytes, "byte"),
                  Count(result.tokens, "token"), result.tokens - result.validation_tokens,
                  arguments.shard_bytes ? fmt::format("{} of {}", Count(result.files, "shard"), output) : output);
  if (!arguments.validation_file.empty()) {
    text += fmt::format(", {} in {}", result.validation_tokens, arguments.validation_file);
  }
  if (result.empty_documents > 0) text += fmt::format("; {} left out", Count(result.empty_documents, "empty document"));
  return text + "\n";
}

/// What --dtype says, or else the smallest type that holds the vocabulary.
TokenType TypeOf(const std::optional<std::string>& dtype, const Tokenizer& tokenizer) {
  if (!dtype) return tokenizer.vocab_size() <= 1 << 16 ? TokenType::kUint16 : TokenType::kUint32;
  if (*dtype == "uint16") return TokenType::kUint16;
  if (*dtype == "uint32") return TokenType::kUint32;
  throw UsageError(fmt::format("--dtype: found {}; accepted: uint16, uint32", *dtype));
}

int RunOnRequests(const TokenizeArguments& arguments) {
  if (arguments.files.size() != 2) {
    throw UsageError(fmt::format("tokenize --requests: found {}; accepted: a request file and the file to write",
                                 Count(static_cast<std::int64_t>(arguments.files.size()), "file")));
  }
  if (arguments.dtype || arguments.eos_token_id || arguments.shard_bytes || !arguments.validation_file.empty()) {
    throw UsageError("tokenize --requests: --dtype, --eos_token_id, --shard_size and --validation are for token files");
  }
  const std::unique_ptr<Tokenizer> tokenizer = OpenTokenizer(arguments.tokenizer);
  const std::int64_t requests =
      TokenizeRequests(arguments.files.front(), arguments.files.back(), arguments.overwrite, *tokenizer);
  Print(fmt::format("{} in {}\n", Count(requests, "request"), arguments.files.back()));
  return kExitSuccess;
}

}  // namespace

int RunTokenizeCommand(const TokenizeArguments& arguments) {
  if (arguments.requests) return RunOnRequests(arguments);
  if (arguments.files.size() < 2) {
    throw UsageError("tokenize: expected at least one input file and, last, the output file; see coat tokenize --help");
  }
  const std::unique_ptr<Tokenizer> tokenizer = OpenTokenizer(arguments.tokenizer);
  const TokenType type = TypeOf(arguments.dtype, *tokenizer);
  // Results go to standard output, so progress is shown where errors are.
  Console console(DetectConsole(STDERR_FILENO));
  const TokenizeResult result = TokenizeFiles(
      {.inputs = {arguments.files.begin(), arguments.files.end() - 1},
       .output = arguments.files.back(),
       .token_type = type,
       .end_of_text = arguments.eos_token_id,
       .shard_bytes = arguments.shard_bytes.value_or(0),
       .validation_fraction = arguments.validation_fraction,
       .validation_output = arguments.validation_file,
       .overwrite = arguments.overwrite,
       .progress = [&](const TokenizeProgress& progress) { console.ShowProgress(ProgressText(progress)); }},
      *tokenizer);
  console.ClearProgress();
  Print(Summary(arguments, result));
  return kExitSuccess;
}

}  // namespace coat
