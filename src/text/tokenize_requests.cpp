#include "text/tokenize_requests.h"

#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "text/request_line.h"
#include "text/text_lines.h"

namespace coat {

namespace {

using nlohmann::ordered_json;

/// Encodes many lines at a time, so that the tokenizer can use all cores.
class Writer {
 public:
  Writer(Tokenizer& tokenizer, AtomicFile& file) : tokenizer_(tokenizer), file_(file) {}

  void Add(ordered_json line, RequestLine request) {
    constexpr std::size_t kLines = 4096;
    lines_.push_back(std::move(line));
    texts_.push_back(std::move(request.context));
    texts_.push_back(std::move(request.continuation));
    if (lines_.size() == kLines) Flush();
  }

  void Flush() {
    const std::vector<TokenIds> ids = tokenizer_.EncodeBatch(texts_);
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      lines_[i]["request"]["context_ids"] = ids[2 * i];
      lines_[i]["request"]["continuation_ids"] = ids[2 * i + 1];
      const std::string text = lines_[i].dump() + "\n";
      file_.Write(std::as_bytes(std::span(text)));
    }
    lines_.clear();
    texts_.clear();
  }

 private:
  Tokenizer& tokenizer_;
  AtomicFile& file_;
  std::vector<ordered_json> lines_;
  std::vector<std::string> texts_;  // context and continuation of each line
};

}  // namespace

std::int64_t TokenizeRequests(const std::string& input, const std::string& output, bool overwrite,
                              Tokenizer& tokenizer) {
  AtomicFile file(output, overwrite);
  Writer writer(tokenizer, file);
  std::int64_t requests = 0;
  ForEachLine(input, [&](std::string_view line, std::int64_t number) {
    RequestLine request = ParseRequestLine(line, input, number);
    writer.Add(ordered_json::parse(line), std::move(request));  // again, as fields stay in their order
    ++requests;
  });
  if (requests == 0) throw IoError(fmt::format("{}: holds no requests; accepted: lines of {}", input, kRequestForm));
  writer.Flush();
  file.Commit();
  return requests;
}

}  // namespace coat
