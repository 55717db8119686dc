#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace coat {

/// What a key of a safetensors file of OLMo means (olmo/safetensors_util.py): the way through nested dicts to a value.
struct SafetensorsKey {
  using Step = std::variant<std::string, std::int64_t>;
  std::vector<Step> path;   // at least one
  bool is_pickled = false;  // the value is no tensor: its bytes are those of a pickle
};

/// What `key` encodes, which is base64 of the pickle of a path and a flag; for any other key a path of that one name.
/// Throws IoError with `file` for a damaged encoding, and for one of anything else.
SafetensorsKey ParseSafetensorsKey(std::string_view key, const std::string& file);

/// The name of the tensor that has the key `key`. Throws IoError as above, and for a key of anything but one name of a
/// tensor.
std::string NameOfSafetensorsKey(std::string_view key, const std::string& file);

}  // namespace coat
