#pragma once
// One line of a request file: a continuation of a question's context, whose log-likelihood is asked for.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coat {

/// What a line of a request file looks like, for messages.
inline constexpr std::string_view kRequestForm =
    R"({"doc_id": 0, "idx": 0, "label": 1, "request": {"context": "Question: ...", "continuation": " ..."}})";

/// The fields that count. Other fields, of which OE-eval writes many, are passed over.
struct RequestLine {
  std::int64_t doc_id = 0;            // the question; continuations of one question have the same
  std::int64_t idx = 0;               // the continuation among those of its question, from 0
  std::optional<std::int64_t> label;  // the right continuation's idx; none where it is null or left out
  std::string context;
  std::string continuation;                              // with its leading blank
  std::optional<std::vector<std::int32_t>> context_ids;  // the same as tokens, of a file that is tokenized
  std::optional<std::vector<std::int32_t>> continuation_ids;
};

/// Reads a line as OE-eval writes it: {"doc_id", "idx", "label", "request_type": "loglikelihood", "request":
/// {"context", "continuation"}}, and in "request" optionally "context_ids" and "continuation_ids", both or none.
///
/// Throws IoError naming `path`, `line_number`, the field, what it is and what is accepted.
RequestLine ParseRequestLine(std::string_view line, const std::string& path, std::int64_t line_number);

}  // namespace coat
