#include "convert/json_object.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"

namespace coat {

nlohmann::json ReadJsonObject(const std::string& path) {
  const auto fail = [&](std::string_view found) {
    throw IoError(fmt::format("{}: {}; expected a JSON object", path, found));
  };
  const MappedFile file(path);
  nlohmann::json object;
  try {
    object = ParseJson(file.text());
  } catch (const IoError& error) {
    fail(error.what());
  }
  if (!object.is_object()) fail(fmt::format("is {}", object.type_name()));
  return object;
}

}  // namespace coat
