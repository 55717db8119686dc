#pragma once
// Text to token files, by the bytes tokenizer.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/token_file.h"
#include "data/tokenizer.h"

namespace coat {

/// How far TokenizeFiles has come.
struct TokenizeProgress {
  std::int64_t consumed_bytes = 0;  // of the inputs, as they are stored
  std::int64_t total_bytes = 0;     // of all inputs, as they are stored; pipes count 0
  std::int64_t tokens = 0;          // written
};

/// What to tokenize, and where to.
struct TokenizeOptions {
  // Files to read in this order. One whose name ends in .jsonl (or .jsonl.gz) has one JSON object a line, and the
  // string in "text" is a document; blank lines are passed over. Any other file is one document. gzip is decompressed.
  std::vector<std::string> inputs;
  std::string output;  // the token file to write
  TokenType token_type = TokenType::kUint16;
  // Of all tokens the last fraction, rounded down to whole tokens, goes to a file of its own: 0, or between 0 and 1
  // with `validation_output`.
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
  std::int64_t tokens = 0;           // in both files: text_bytes + documents
  std::int64_t validation_tokens = 0;
};

/// Tokenizes text files by their bytes into a token file, and optionally a second one for validation.
///
/// The output files are written aside and appear under their names when all is read; whatever goes wrong, they are as
/// they were before. Memory use does not depend on the size of the files, only on the longest line of a JSONL file.
///
/// Throws UsageError for options that contradict one another (no inputs, a fraction outside (0, 1), an output that is
/// an input), and IoError for an input that is missing, damaged or not JSONL (with the line), when there is no text at
/// all, and for outputs that exist or cannot be written. What `progress` throws ends the work likewise.
TokenizeResult TokenizeFiles(const TokenizeOptions& options);

}  // namespace coat
