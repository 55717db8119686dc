#pragma once

#include <string>
#include <string_view>

namespace coat {

/// The name of a tensor that has the key `key` in a safetensors file of OLMo: the key itself, or what it encodes, which
/// is base64 of the pickle of a path of names and a flag (olmo/safetensors_util.py). Throws IoError with `file` for a
/// damaged encoding, and for one of anything but one name of a tensor.
std::string NameOfSafetensorsKey(std::string_view key, const std::string& file);

}  // namespace coat
