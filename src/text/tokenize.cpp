#include "text/tokenize.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <future>
#include <memory>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/start_thread.h"
#include "base/system_call.h"
#include "text/document_reader.h"
#include "text/token_output.h"

namespace coat {

namespace {

/// Text that is encoded together: enough to keep many cores busy.
constexpr std::size_t kBatchBytes = std::size_t{4} << 20;
constexpr std::size_t kBatchTexts = std::size_t{1} << 16;  // of which many may be empty
constexpr std::int64_t kProgressBytes = 1 << 18;

bool IsSameFile(const std::string& path, const struct stat& other) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && status.st_dev == other.st_dev && status.st_ino == other.st_ino;
}

/// Refuses options that make no sense, before any work is done.
void CheckOptions(const TokenizeOptions& options, const Tokenizer& tokenizer) {
  const bool with_validation = !options.validation_output.empty();
  if (options.inputs.empty()) throw UsageError("there is nothing to tokenize: give at least one input file");
  if (options.output.empty()) throw UsageError("give the name of the token file to write");
  if (!with_validation && options.validation_fraction != 0) {
    throw UsageError("a fraction of tokens for validation and the file for them must be given together");
  }
  if (with_validation && !(options.validation_fraction > 0 && options.validation_fraction < 1)) {
    throw UsageError(fmt::format("the fraction of tokens for validation is {}; it must be above 0 and below 1",
                                 options.validation_fraction));
  }
  if (with_validation && std::filesystem::weakly_canonical(options.output) ==
                             std::filesystem::weakly_canonical(options.validation_output)) {
    throw UsageError(fmt::format("{}: is given both for the tokens and for those for validation", options.output));
  }
  if (with_validation && options.shard_bytes != 0) {
    throw UsageError("tokens for validation are split off an output that is one file; give no shard size");
  }
  if (options.shard_bytes < 0 || (options.shard_bytes > 0 && options.shard_bytes < SizeOf(options.token_type))) {
    throw UsageError(fmt::format("the shard size is {} bytes; it must hold a token", options.shard_bytes));
  }
  const std::int64_t most_ids = options.token_type == TokenType::kUint16 ? 1 << 16 : std::int64_t{1} << 32;
  if (tokenizer.vocab_size() > most_ids) {
    throw UsageError(fmt::format("the tokenizer {} has {} ids, of which uint16 holds 65536; accepted: uint32",
                                 tokenizer.name(), tokenizer.vocab_size()));
  }
  if (!options.end_of_text && !tokenizer.end_of_text()) {
    throw UsageError(
        fmt::format("the tokenizer {} has no token <|endoftext|>; give the id that ends a document, "
                    "model.eos_token_id of the configuration",
                    tokenizer.name()));
  }
  if (const std::int32_t id = options.end_of_text.value_or(0); id < 0 || id >= tokenizer.vocab_size()) {
    throw UsageError(fmt::format("the id that ends a document is {}; the tokenizer {} has ids from 0 to {}", id,
                                 tokenizer.name(), tokenizer.vocab_size() - 1));
  }
}

/// Refuses inputs that are not there. Returns their size as they are stored.
std::int64_t CheckInputs(const TokenizeOptions& options) {
  std::vector<std::string> outputs = {options.output};
  if (!options.validation_output.empty()) outputs.push_back(options.validation_output);
  if (options.shard_bytes > 0) outputs = TokenOutput::ExistingShards(options.output);
  std::int64_t total_bytes = 0;
  for (const std::string& input : options.inputs) {
    struct stat status = {};
    if (::stat(input.c_str(), &status) != 0 || ::access(input.c_str(), R_OK) != 0) {
      throw SystemError(input, "read", errno);
    }
    if (S_ISDIR(status.st_mode)) throw IoError(fmt::format("{}: is a folder; expected a text file", input));
    for (const std::string& output : outputs) {
      if (IsSameFile(output, status)) throw UsageError(fmt::format("{}: is both an input and an output", input));
    }
    RequireNoTokenFile(input);
    total_bytes += S_ISREG(status.st_mode) ? static_cast<std::int64_t>(status.st_size) : 0;
  }
  return total_bytes;
}

/// Encodes documents in batches, each while the next is gathered, and writes and counts them in their order.
class Pipeline {
 public:
  Pipeline(Tokenizer& tokenizer, std::int32_t end_of_text, TokenOutput& output)
      : tokenizer_(tokenizer), end_of_text_(end_of_text), output_(output) {}

  void Add(TextPiece piece) {
    bytes_ += piece.text.size();
    texts_.push_back(std::move(piece.text));
    ends_.push_back(piece.ends_document);
    if (bytes_ >= kBatchBytes || texts_.size() >= kBatchTexts) Start();
  }

  /// Encodes and writes all that was added.
  void Finish() {
    Start();
    WriteStarted();
  }

  const TokenizeResult& counts() const { return counts_; }

 private:
  struct Batch {
    std::vector<std::string> texts;
    std::vector<bool> ends;
    std::future<std::vector<TokenIds>> ids;
  };

  void Start() {
    WriteStarted();
    started_ = std::make_unique<Batch>();
    started_->texts = std::exchange(texts_, {});
    started_->ends = std::exchange(ends_, {});
    bytes_ = 0;
    const auto encode = [&batch = *started_, this] { return tokenizer_.EncodeBatch(batch.texts); };
    started_->ids = StartThread("tokenizing", [&] { return std::async(std::launch::async, encode); });
  }

  void WriteStarted() {
    if (!started_) return;
    const std::vector<TokenIds> ids = started_->ids.get();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      output_.Write(ids[i]);
      document_bytes_ += static_cast<std::int64_t>(started_->texts[i].size());
      if (started_->ends[i]) EndDocument();
    }
    counts_.tokens = output_.tokens();
    started_.reset();
  }

  void EndDocument() {
    if (document_bytes_ == 0) {
      ++counts_.empty_documents;
      return;
    }
    output_.Write({&end_of_text_, 1});
    ++counts_.documents;
    counts_.text_bytes += document_bytes_;
    document_bytes_ = 0;
  }

  Tokenizer& tokenizer_;
  const std::int32_t end_of_text_;
  TokenOutput& output_;
  std::vector<std::string> texts_;
  std::vector<bool> ends_;
  std::size_t bytes_ = 0;            // of texts_
  std::int64_t document_bytes_ = 0;  // of the document that is not yet ended
  TokenizeResult counts_;
  std::unique_ptr<Batch> started_;  // last, so that its end is waited for first
};

/// How many tokens are for validation; there must be some for both files.
std::int64_t ValidationTokens(const TokenizeOptions& options, std::int64_t tokens) {
  const auto count = static_cast<std::int64_t>(options.validation_fraction * static_cast<double>(tokens));
  if (count == 0 || count == tokens) {
    throw IoError(fmt::format("{}: {} of the {} tokens would be for validation; each file needs at least one token",
                              options.validation_output, count, tokens));
  }
  return count;
}

}  // namespace

TokenizeResult TokenizeFiles(const TokenizeOptions& options, Tokenizer& tokenizer) {
  CheckOptions(options, tokenizer);
  TokenizeProgress progress = {.total_bytes = CheckInputs(options)};
  TokenOutput output(options.output, options.token_type, options.shard_bytes / SizeOf(options.token_type),
                     options.overwrite);
  std::unique_ptr<AtomicFile> validation;
  if (!options.validation_output.empty()) {
    validation = std::make_unique<AtomicFile>(options.validation_output, options.overwrite);
  }

  Pipeline pipeline(tokenizer, options.end_of_text ? *options.end_of_text : *tokenizer.end_of_text(), output);
  const auto report = [&](std::int64_t consumed_bytes) {
    progress.consumed_bytes = consumed_bytes;
    progress.tokens = pipeline.counts().tokens;
    if (options.progress) options.progress(progress);
  };
  std::int64_t consumed_before = 0;
  for (const std::string& path : options.inputs) {
    DocumentReader reader(path, tokenizer.takes_pieces());
    for (TextPiece piece; reader.Next(piece);) {
      pipeline.Add(std::move(piece));
      const std::int64_t consumed = consumed_before + reader.consumed_bytes();
      if (consumed - progress.consumed_bytes >= kProgressBytes) report(consumed);
    }
    consumed_before += reader.consumed_bytes();
  }
  pipeline.Finish();
  report(consumed_before);

  TokenizeResult result = pipeline.counts();
  if (result.tokens == 0) {
    throw IoError(fmt::format("{}: nothing was written: there is no text in the {} input files ({} empty documents)",
                              options.output, options.inputs.size(), result.empty_documents));
  }
  if (validation) {
    result.validation_tokens = ValidationTokens(options, result.tokens);
    output.MoveTail(result.validation_tokens, *validation);
    validation->Commit();
  }
  output.Commit();
  result.files = output.files();
  return result;
}

}  // namespace coat
