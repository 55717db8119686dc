#include "text/requests.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>

#include "base/error.h"
#include "text/request_line.h"
#include "text/text_lines.h"
#include "text/tokenizer.h"

namespace coat {

namespace {

/// Unicode characters of UTF-8 text: all bytes but those that continue a character.
std::int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; });
}

/// Bytes of the first character of UTF-8 text that is not empty.
std::int64_t FirstCharacterBytes(std::string_view text) {
  std::size_t bytes = 1;
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) ++bytes;
  return static_cast<std::int64_t>(bytes);
}

/// Reads one file.
class RequestFile {
 public:
  RequestFile(const RequestOptions& options, const std::string& path, std::unique_ptr<Tokenizer>& tokenizer,
              RequestSet& set)
      : options_(options), path_(path), tokenizer_(tokenizer), set_(set) {}

  void Read() {
    ForEachLine(path_, [&](std::string_view text, std::int64_t line) {
      lines_.push_back({ParseRequestLine(text, path_, line), line});
    });
    Tokenize();
    for (const Line& line : lines_) Add(line.request, line.number);
    if (found_.empty()) throw IoError(fmt::format("{}: holds no requests; accepted: lines of {}", path_, kRequestForm));
    for (auto& [doc_id, document] : found_) Finish(doc_id, document);
    PairUnconditional();
  }

 private:
  struct Found {
    std::size_t document = 0;  // into RequestSet::documents
    std::int64_t first_line = 0;
    std::optional<std::int64_t> label;
    std::map<std::int64_t, std::size_t> requests;  // idx -> into RequestSet::requests
  };
  struct Line {
    RequestLine request;
    std::int64_t number = 0;
  };
  struct Unpaired {
    Request request;
    std::int64_t line = 0;
  };

  [[noreturn]] void Fail(std::int64_t line, const std::string& message) const {
    throw IoError(fmt::format("{}:{}: {}", path_, line, message));
  }

  /// Gives token ids to the lines that have none: all texts at once, a context that several continuations share once.
  void Tokenize() {
    struct Place {
      RequestLine* request;
      std::size_t context, continuation;  // among the texts
    };
    std::vector<std::string> texts;
    std::vector<Place> places;
    for (Line& line : lines_) {
      if (line.request.context_ids) continue;
      const bool is_shared = !places.empty() && texts[places.back().context] == line.request.context;
      const std::size_t context = is_shared ? places.back().context : texts.size();
      if (!is_shared) texts.push_back(line.request.context);
      places.push_back({&line.request, context, texts.size()});
      texts.push_back(line.request.continuation);
    }
    if (texts.empty()) return;
    if (!tokenizer_) tokenizer_ = OpenTokenizer(options_.tokenizer);
    const std::vector<TokenIds> ids = tokenizer_->EncodeBatch(texts);
    for (const Place& place : places) {
      place.request->context_ids = ids[place.context];
      place.request->continuation_ids = ids[place.continuation];
    }
  }

  void Add(const RequestLine& from, std::int64_t line) {
    Request request = RequestOf(from, line);
    if (from.doc_id >= kUnconditional) {
      const auto [place, is_new] =
          unpaired_.insert({{from.doc_id - kUnconditional, from.idx}, {std::move(request), line}});
      if (!is_new) FailTwice(from, line);
      return;
    }
    const auto [place, is_new] = found_.insert({from.doc_id, {}});
    Found& document = place->second;
    if (is_new) {
      document = {.document = set_.documents.size(), .first_line = line, .label = from.label, .requests = {}};
      set_.documents.push_back({.doc_id = from.doc_id, .place = fmt::format("{}:{}", path_, line)});
    } else if (document.label != from.label) {
      Fail(line,
           fmt::format("label: found {}, and {} in line {} for the same doc_id {}; accepted: one label a question",
                       LabelText(from.label), LabelText(document.label), document.first_line, from.doc_id));
    }
    if (!document.requests.insert({from.idx, set_.requests.size()}).second) FailTwice(from, line);
    request.document = static_cast<std::int64_t>(document.document);
    set_.requests.push_back(std::move(request));
  }

  static std::string LabelText(const std::optional<std::int64_t>& label) {
    return label ? std::to_string(*label) : "null";
  }

  [[noreturn]] void FailTwice(const RequestLine& from, std::int64_t line) const {
    Fail(line, fmt::format("idx: found {} a second time for doc_id {}; accepted: each continuation once", from.idx,
                           from.doc_id));
  }

  Request RequestOf(const RequestLine& from, std::int64_t line) const {
    if (from.continuation.empty()) {
      Fail(line, "request.continuation: found no text; accepted: a blank and the text of an answer");
    }
    const TokenIds& context = *from.context_ids;
    const TokenIds& continuation = *from.continuation_ids;
    CheckTokens(context, "context", line);
    CheckTokens(continuation, "continuation", line);
    const auto predicted = static_cast<std::int64_t>(continuation.size());
    if (predicted > options_.context_window) {
      Fail(line, fmt::format("request.continuation: found {} tokens; accepted: at most {}, the context window "
                             "(model.max_sequence_length)",
                             predicted, options_.context_window));
    }
    Request request = {.idx = from.idx, .tokens = context, .predicted = predicted};
    request.tokens.insert(request.tokens.end(), continuation.begin(), continuation.end());
    const auto most = static_cast<std::size_t>(options_.context_window) + 1;
    if (request.tokens.size() > most) {
      request.tokens.erase(request.tokens.begin(), request.tokens.end() - static_cast<std::ptrdiff_t>(most));
    }
    request.characters = CountCharacters(from.continuation) - 1;
    request.bytes = static_cast<std::int64_t>(from.continuation.size()) - FirstCharacterBytes(from.continuation);
    return request;
  }

  void CheckTokens(const TokenIds& ids, std::string_view of, std::int64_t line) const {
    if (ids.empty()) {
      Fail(line, fmt::format("request.{}: found no tokens; accepted: at least one (for a question without a context, "
                             "say the token that ends a document)",
                             of));
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < options_.vocab_size) continue;
      Fail(line, fmt::format("request.{}: token {} is {}; accepted: 0 to {} (model.vocab_size: {})", of, i, ids[i],
                             options_.vocab_size - 1, options_.vocab_size));
    }
  }

  /// Checks that a question is whole.
  void Finish(std::int64_t doc_id, const Found& found) const {
    const auto count = static_cast<std::int64_t>(found.requests.size());
    if (found.requests.rbegin()->first != count - 1) {
      std::int64_t missing = 0;
      while (found.requests.contains(missing)) ++missing;
      Fail(found.first_line, fmt::format("doc_id {} has {} continuations, the last with idx {}, and none with idx {}; "
                                         "accepted: all from 0 on",
                                         doc_id, count, found.requests.rbegin()->first, missing));
    }
    if (!found.label && count > 1) {
      Fail(found.first_line, fmt::format("label: null for doc_id {}, which has {} continuations; accepted: 0 to {}",
                                         doc_id, count, count - 1));
    }
    const std::int64_t gold = found.label.value_or(0);
    if (gold >= count) {
      Fail(found.first_line, fmt::format("label: found {} for doc_id {}, which has {} continuations; accepted: 0 to {}",
                                         gold, doc_id, count, count - 1));
    }
    set_.documents[found.document].gold = gold;
    set_.documents[found.document].continuations = count;
  }

  void PairUnconditional() {
    if (unpaired_.empty()) return;
    set_.unconditional.resize(set_.requests.size());
    for (auto& [place, unpaired] : unpaired_) {
      const auto& [doc_id, idx] = place;
      const auto document = found_.find(doc_id);
      if (document == found_.end() || !document->second.requests.contains(idx)) {
        Fail(unpaired.line,
             fmt::format("doc_id: found {}, the unconditional request of doc_id {} and idx {}, which the "
                         "file has not; accepted: {} above that of a request",
                         doc_id + kUnconditional, doc_id, idx, kUnconditional));
      }
      unpaired.request.document = static_cast<std::int64_t>(document->second.document);
      set_.unconditional[document->second.requests.at(idx)] = std::move(unpaired.request);
    }
  }

  const RequestOptions& options_;
  const std::string& path_;
  std::unique_ptr<Tokenizer>& tokenizer_;  // opened when a text needs it
  RequestSet& set_;
  std::vector<Line> lines_;
  std::map<std::int64_t, Found> found_;  // by doc_id
  std::map<std::pair<std::int64_t, std::int64_t>, Unpaired> unpaired_;
};

}  // namespace

RequestSet ReadRequests(const RequestOptions& options) {
  RequestSet set;
  std::unique_ptr<Tokenizer> tokenizer;
  for (const std::string& path : options.paths) RequestFile(options, path, tokenizer, set).Read();
  if (!set.unconditional.empty()) set.unconditional.resize(set.requests.size());
  return set;
}

}  // namespace coat
