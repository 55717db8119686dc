#include "data/tokenize.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/system_call.h"
#include "data/input_file.h"
#include "data/json_text.h"

namespace coat {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;
constexpr std::size_t kMaxLineBytes = std::size_t{1} << 30;

/// Turns the bytes of documents into ids and counts them.
class TokenWriter {
 public:
  TokenWriter(AtomicFile& file, TokenType type) : file_(file), type_(type) {}

  /// More bytes of the current document.
  void Append(std::string_view text) {
    while (!text.empty()) {
      const std::string_view piece = text.substr(0, kChunkBytes);
      if (type_ == TokenType::kUint16) {
        WriteIds(piece, narrow_ids_);
      } else {
        WriteIds(piece, wide_ids_);
      }
      text.remove_prefix(piece.size());
      document_bytes_ += static_cast<std::int64_t>(piece.size());
    }
  }

  void EndDocument() {
    if (document_bytes_ == 0) {
      ++counts_.empty_documents;
      return;
    }
    const std::uint32_t end_of_text = kBytesEndOfText;  // little-endian: its first two bytes are the uint16
    file_.Write(std::as_bytes(std::span(&end_of_text, 1)).first(static_cast<std::size_t>(SizeOf(type_))));
    ++counts_.documents;
    counts_.text_bytes += document_bytes_;
    document_bytes_ = 0;
    counts_.tokens = counts_.text_bytes + counts_.documents;
  }

  const TokenizeResult& counts() const { return counts_; }
  std::int64_t tokens() const { return counts_.tokens + document_bytes_; }

 private:
  template <class Id>
  void WriteIds(std::string_view text, std::vector<Id>& ids) {
    ids.resize(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
      ids[i] = static_cast<unsigned char>(text[i]);
    }
    file_.Write(std::as_bytes(std::span(ids)));
  }

  AtomicFile& file_;
  TokenType type_;
  std::vector<std::uint16_t> narrow_ids_;
  std::vector<std::uint32_t> wide_ids_;
  std::int64_t document_bytes_ = 0;  // of the document that is not yet ended
  TokenizeResult counts_;
};

/// Passes a file's text on in pieces.
template <class Consume>
void ForEachPiece(InputFile& input, Consume&& consume) {
  std::vector<std::byte> chunk(kChunkBytes);
  while (const std::size_t count = input.Read(chunk)) {
    consume(std::string_view(reinterpret_cast<const char*>(chunk.data()), count));
  }
}

/// Gathers the lines of a JSONL file from its pieces and writes the documents in them.
class JsonLines {
 public:
  JsonLines(const std::string& path, TokenWriter& writer) : path_(path), writer_(writer) {}

  void Append(std::string_view piece) {
    for (std::size_t end; (end = piece.find('\n')) != std::string_view::npos; piece.remove_prefix(end + 1)) {
      line_ += piece.substr(0, end);
      EndLine();
    }
    line_ += piece;
    if (line_.size() > kMaxLineBytes) {
      throw IoError(fmt::format("{}:{}: the line is longer than {} bytes; is it a JSONL file, one object a line?",
                                path_, line_number_, kMaxLineBytes));
    }
  }

  /// The last line may lack its newline.
  void EndLine() {
    if (line_.find_first_not_of(" \t\r") != std::string::npos) {
      writer_.Append(TextOfJsonLine(line_, path_, line_number_));
      writer_.EndDocument();
    }
    line_.clear();
    ++line_number_;
  }

 private:
  const std::string& path_;
  TokenWriter& writer_;
  std::string line_;
  std::int64_t line_number_ = 1;
};

bool IsJsonLines(std::string_view path) {
  if (path.ends_with(".gz")) {
    path.remove_suffix(3);
  }
  return path.ends_with(".jsonl");
}

bool IsSameFile(const std::string& path, const struct stat& other) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && status.st_dev == other.st_dev && status.st_ino == other.st_ino;
}

/// Refuses options that make no sense and inputs that are not there, before any work is done.
/// Returns the size of the inputs as they are stored.
std::int64_t CheckOptions(const TokenizeOptions& options) {
  const bool with_validation = options.validation_fraction != 0;
  if (options.inputs.empty()) {
    throw UsageError("there is nothing to tokenize: give at least one input file");
  }
  if (options.output.empty()) {
    throw UsageError("give the name of the token file to write");
  }
  if (with_validation && !(options.validation_fraction > 0 && options.validation_fraction < 1)) {
    throw UsageError(fmt::format("the fraction of tokens for validation is {}; it must lie between 0 and 1",
                                 options.validation_fraction));
  }
  if (with_validation == options.validation_output.empty()) {
    throw UsageError("a fraction of tokens for validation and the file for them must be given together");
  }
  if (with_validation && options.output == options.validation_output) {
    throw UsageError(fmt::format("{}: is given both for the tokens and for those for validation", options.output));
  }
  std::int64_t total_bytes = 0;
  for (const std::string& input : options.inputs) {
    struct stat status = {};
    if (::stat(input.c_str(), &status) != 0 || ::access(input.c_str(), R_OK) != 0) {
      throw SystemError(input, "read", errno);
    }
    if (S_ISDIR(status.st_mode)) {
      throw IoError(fmt::format("{}: is a folder; expected a text file", input));
    }
    if (IsSameFile(options.output, status) || (with_validation && IsSameFile(options.validation_output, status))) {
      throw UsageError(fmt::format("{}: is both an input and an output", input));
    }
    total_bytes += S_ISREG(status.st_mode) ? static_cast<std::int64_t>(status.st_size) : 0;
  }
  return total_bytes;
}

/// Moves the last tokens of the file being written to the file for validation. Returns how many.
std::int64_t SplitOffValidation(const TokenizeOptions& options, std::int64_t tokens, AtomicFile& training,
                                AtomicFile& validation) {
  const auto validation_tokens = static_cast<std::int64_t>(options.validation_fraction * static_cast<double>(tokens));
  if (validation_tokens == 0 || validation_tokens == tokens) {
    throw IoError(fmt::format("{}: {} of the {} tokens would be for validation; each file needs at least one token",
                              options.validation_output, validation_tokens, tokens));
  }
  const std::int64_t training_bytes = (tokens - validation_tokens) * SizeOf(options.token_type);
  training.Flush();
  {
    const MappedFile all(training.partial_path());
    validation.Write(all.Range(training_bytes, all.size() - training_bytes));
  }
  training.Truncate(training_bytes);
  return validation_tokens;
}

}  // namespace

TokenizeResult TokenizeFiles(const TokenizeOptions& options) {
  TokenizeProgress progress = {.total_bytes = CheckOptions(options)};
  AtomicFile training(options.output, options.overwrite);
  std::optional<AtomicFile> validation;
  if (options.validation_fraction != 0) {
    validation.emplace(options.validation_output, options.overwrite);
  }

  TokenWriter writer(training, options.token_type);
  for (const std::string& path : options.inputs) {
    InputFile input(path);
    const std::int64_t consumed_before = progress.consumed_bytes;
    const auto report = [&] {
      progress.consumed_bytes = consumed_before + input.consumed_bytes();
      progress.tokens = writer.tokens();
      if (options.progress) {
        options.progress(progress);
      }
    };
    if (IsJsonLines(path)) {
      JsonLines lines(path, writer);
      ForEachPiece(input, [&](std::string_view piece) {
        lines.Append(piece);
        report();
      });
      lines.EndLine();
    } else {
      ForEachPiece(input, [&](std::string_view piece) {
        writer.Append(piece);
        report();
      });
      writer.EndDocument();
    }
    report();
  }

  TokenizeResult result = writer.counts();
  if (result.tokens == 0) {
    throw IoError(fmt::format("{}: nothing was written: there is no text in the {} input files ({} empty documents)",
                              options.output, options.inputs.size(), result.empty_documents));
  }
  if (validation.has_value()) {
    result.validation_tokens = SplitOffValidation(options, result.tokens, training, *validation);
    validation->Commit();
  }
  training.Commit();
  return result;
}

}  // namespace coat
