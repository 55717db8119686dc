#pragma once
// Text to token files.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/token_type.h"
#include "text/tokenizer.h"

namespace coat {

/// How far TokenizeFiles has come.
struct TokenizeProgress {
  std::int64_t consumed_bytes = 0;  // of the inputs, as they are stored
  std::int64_t total_bytes = 0;     // of all inputs, as they are stored; pipes count 0
  std::int64_t tokens = 0;          // written
};

/// What to tokenize, and where to.
struct TokenizeOptions {
  // Files to read in this order: see DocumentReader. gzip and zstd data are decompressed.
  std::vector<std::string> inputs;
  std::string output;  // the token file to write
  TokenType token_type = TokenType::kUint16;
  std::optional<std::int32_t> end_of_text = {};  // the id after each document; none: the tokenizer's
  // The most bytes of a file: the output is cut into "a-00000.npy" and so on for an output "a.npy". 0: one file.
  std::int64_t shard_bytes = 0;
  // Of all tokens the last fraction, rounded down to whole tokens, goes to a file of its own: 0, or between 0 and 1
  // with `validation_output`. Not with shard_bytes.
  double validation_fraction = 0;
  std::string validation_output = {};
  bool overwrite = false;                                      // replace existing output files
  std::function<void(const TokenizeProgress&)> progress = {};  // called every few hundred kilobytes; may be empty
};

/// What TokenizeFiles has written. An empty document leaves nothing behind, not even its end.
struct TokenizeResult {
  std::int64_t documents = 0;        // with at least one byte
  std::int64_t empty_documents = 0;  // left out
  std::int64_t text_bytes = 0;       // of the documents, decompressed
  std::int64_t tokens = 0;           // in all files, with one that ends each document
  std::int64_t validation_tokens = 0;
  std::int64_t files = 0;  // besides that for validation
};

/// Tokenizes text files into a token file or shards of one, and optionally another one for validation.
///
/// The output files are written aside and appear under their names when all is read; whatever goes wrong, they are as
/// they were before. Documents are encoded in batches of a few megabytes, on all cores, while the next ones are read;
/// memory use depends on the longest document that cannot be cut into pieces, not on the size of the files.
///
/// Throws UsageError for options that contradict one another or the tokenizer (no inputs, a fraction outside (0, 1), an
/// output that is an input, ids that the type does not hold, no end of text), and IoError for an input that is missing,
/// damaged or not as expected (with the line or byte), when there is no text at all, and for outputs that exist or
/// cannot be written. What `progress` throws ends the work likewise.
TokenizeResult TokenizeFiles(const TokenizeOptions& options, Tokenizer& tokenizer);

}  // namespace coat
