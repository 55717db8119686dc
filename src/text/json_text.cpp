#include "text/json_text.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace coat {

std::string TextOfJsonLine(std::string_view line, const std::string& path, std::int64_t line_number) {
  nlohmann::json object;
  try {
    object = ParseJson(line);
  } catch (const IoError& error) {
    throw IoError(fmt::format("{}:{}: {}; expected one object a line with a string in \"text\"", path, line_number,
                              error.what()));
  }
  if (!object.is_object()) {
    throw IoError(fmt::format("{}:{}: is {}; expected one object a line with a string in \"text\"", path, line_number,
                              object.type_name()));
  }
  const auto text = object.find("text");
  if (text == object.end()) {
    throw IoError(fmt::format("{}:{}: the object has no field \"text\"", path, line_number));
  }
  if (!text->is_string()) {
    throw IoError(
        fmt::format("{}:{}: the field \"text\" is {}; expected a string", path, line_number, text->type_name()));
  }
  return std::move(text->get_ref<std::string&>());
}

}  // namespace coat
