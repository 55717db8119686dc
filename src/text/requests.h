#pragma once
// The requests of a task: which continuation of each question's context a model finds likeliest.

#include <cstdint>
#include <string>
#include <vector>

namespace coat {

/// One continuation to be scored: the model reads all tokens but the last, and is asked for the last `predicted` ones.
struct Request {
  std::int64_t document = 0;              // into RequestSet::documents
  std::int64_t idx = 0;                   // the continuation among those of its document
  std::vector<std::int32_t> tokens = {};  // the context's last and the continuation's, at most context_window + 1
  std::int64_t predicted = 0;             // tokens of the continuation
  std::int64_t characters = 0;            // of the continuation after its first, which is a blank
  std::int64_t bytes = 0;                 // of these characters in UTF-8
};

/// A question: one document of an evaluation.
struct RequestDocument {
  std::int64_t doc_id = 0;         // in its file
  std::int64_t gold = 0;           // idx of the right continuation
  std::int64_t continuations = 0;  // how many there are: their idx are 0 to this, exclusive
  std::string place = {};          // "file:line" of its first request, for messages
};

struct RequestSet {
  std::vector<Request> requests;           // in the order of the files
  std::vector<RequestDocument> documents;  // in the order in which they appear
  /// For each of `requests`, the same continuation without its context, or empty if no file has any: lines whose doc_id
  /// is kUnconditional above that of a question.
  std::vector<Request> unconditional;
};

/// OE-eval's mark of the requests that leave the question out.
inline constexpr std::int64_t kUnconditional = 1'000'000;

struct RequestOptions {
  std::vector<std::string> paths;   // JSONL of ParseRequestLine's form, gzip or not
  std::int64_t vocab_size = 0;      // every token id must be below it
  std::int64_t context_window = 0;  // T: the most tokens that the model reads
  std::string tokenizer;            // for lines without token ids: see OpenTokenizer
};

/// Reads the request files of a task. A context that does not fit loses its first tokens. doc_ids are those of a file:
/// equal ones in two files are two documents.
///
/// Throws IoError naming file and line for what ParseRequestLine refuses, an empty context, a continuation without text
/// or longer than the window, a token outside the vocabulary, a label that is none of the
/// document's continuations or changes within it, and a continuation that is missing or there twice; and for a file
/// without requests; and as OpenTokenizer where a line has no token ids.
/// Source: OLMo's OEEvalTask, with these differences: it adds the largest doc_id of a file to those of the next, so
/// that two documents can become one, and passes over unconditional requests.
RequestSet ReadRequests(const RequestOptions& options);

}  // namespace coat
