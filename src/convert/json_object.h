#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace coat {

/// The object that the file `path` is. Throws IoError if it cannot be read or is none.
nlohmann::json ReadJsonObject(const std::string& path);

}  // namespace coat
