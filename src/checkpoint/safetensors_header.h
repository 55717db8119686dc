#pragma once
// The JSON header of a safetensors file, to and from values. safetensors.h is for everyone else.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_info.h"

namespace coat {

/// The format's own bound on a header's length.
inline constexpr std::uint64_t kMostHeaderBytes = 100'000'000;

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
};

/// Reads and checks a header: JSON of the right shape, no key twice, known dtypes, sizes that are not negative and do
/// not overflow, and tensors that fill the file's `data_bytes` of data exactly, without overlap or hole. Throws IoError
/// with `file`, the tensor, what was found and what is accepted.
SafetensorsHeader ParseSafetensorsHeader(std::string_view text, std::uint64_t data_bytes, const std::string& file);

/// The header for `tensors` and `metadata`, padded with spaces so that the data after it start at a multiple of 8
/// bytes. The same input gives the same bytes. Throws ArgumentError for a text that is not UTF-8.
std::string FormatSafetensorsHeader(const std::vector<TensorInfo>& tensors,
                                    const std::map<std::string, std::string>& metadata);

}  // namespace coat
