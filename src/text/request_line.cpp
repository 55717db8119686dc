#include "text/request_line.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace coat {

namespace {

using nlohmann::json;

/// The fields of one line, with its place for messages.
class Fields {
 public:
  Fields(std::string_view line, const std::string& path, std::int64_t line_number)
      : where_(fmt::format("{}:{}", path, line_number)) {
    try {
      root_ = ParseJson(line);
    } catch (const IoError& error) {
      Fail(error.what(), kRequestForm);
    }
    if (!root_.is_object()) Fail(fmt::format("is {}", root_.type_name()), kRequestForm);
    request_ = &Required(root_, "", "request", kRequestForm);
    if (!request_->is_object()) FailField("request", *request_, R"({"context": "...", "continuation": " ..."})");
  }

  const json& root() const { return root_; }
  const json& request() const { return *request_; }

  [[noreturn]] void Fail(const std::string& found, std::string_view accepted) const {
    throw IoError(fmt::format("{}: {}; accepted: {}", where_, found, accepted));
  }

  std::int64_t Count(const char* name) const {
    constexpr std::string_view kAccepted = "an integer from 0 on";
    const json& value = Required(root_, "", name, kAccepted);
    if (!IsCount(value)) FailField(name, value, kAccepted);
    return value.get<std::int64_t>();
  }

  std::optional<std::int64_t> OptionalCount(const char* name) const {
    const auto found = root_.find(name);
    if (found == root_.end() || found->is_null()) return std::nullopt;
    return Count(name);
  }

  std::string Text(const char* name) const {
    constexpr std::string_view kAccepted = "a text";
    const json& value = Required(*request_, "request.", name, kAccepted);
    if (!value.is_string()) FailField(std::string("request.") + name, value, kAccepted);
    return value.get<std::string>();
  }

  std::optional<std::vector<std::int32_t>> Ids(const char* name) const {
    const auto found = request_->find(name);
    if (found == request_->end()) return std::nullopt;
    const std::string field = std::string("request.") + name;
    if (!found->is_array()) FailField(field, *found, "a list of token ids");
    std::vector<std::int32_t> ids;
    for (const json& id : *found) {
      if (!IsCount(id) || id > std::numeric_limits<std::int32_t>::max()) {
        FailField(fmt::format("{}[{}]", field, ids.size()), id, "a token id");
      }
      ids.push_back(id.get<std::int32_t>());
    }
    return ids;
  }

  [[noreturn]] void FailField(std::string_view field, const json& value, std::string_view accepted) const {
    Fail(fmt::format("{}: found {}", field, Excerpt(value)), accepted);
  }

 private:
  static bool IsCount(const json& value) {
    return value.is_number_integer() && value >= 0 && value <= std::numeric_limits<std::int64_t>::max();
  }

  /// The value itself if it is short, else its type.
  static std::string Excerpt(const json& value) {
    constexpr std::size_t kLongest = 40;
    std::string text = value.is_structured() ? value.type_name() : value.dump();
    return text.size() > kLongest ? value.type_name() : text;
  }

  const json& Required(const json& object, std::string_view prefix, const char* name, std::string_view accepted) const {
    const auto found = object.find(name);
    if (found == object.end()) Fail(fmt::format("the field {}{} is missing", prefix, name), accepted);
    return *found;
  }

  std::string where_;
  json root_;
  const json* request_ = nullptr;
};

}  // namespace

RequestLine ParseRequestLine(std::string_view line, const std::string& path, std::int64_t line_number) {
  const Fields fields(line, path, line_number);
  if (const auto type = fields.root().find("request_type"); type != fields.root().end() && *type != "loglikelihood") {
    fields.FailField("request_type", *type, "\"loglikelihood\"");
  }
  RequestLine request = {.doc_id = fields.Count("doc_id"),
                         .idx = fields.Count("idx"),
                         .label = fields.OptionalCount("label"),
                         .context = fields.Text("context"),
                         .continuation = fields.Text("continuation"),
                         .context_ids = fields.Ids("context_ids"),
                         .continuation_ids = fields.Ids("continuation_ids")};
  if (request.context_ids.has_value() != request.continuation_ids.has_value()) {
    fields.Fail(fmt::format("request has {} alone", request.context_ids ? "context_ids" : "continuation_ids"),
                "context_ids and continuation_ids, or neither");
  }
  return request;
}

}  // namespace coat
