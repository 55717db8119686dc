#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/float_type.h"
#include "checkpoint/safetensors.h"

namespace coat {

/// Appends values of one type to the tensor `name`, whose turn it is, as another, in pieces. `source` is where they are
/// from: "FILE: tensor X". Throws IoError with it if a finite value would become infinite.
void WriteConverted(std::span<const std::byte> values, FloatType from, FloatType to, std::string_view source,
                    SafetensorsWriter& writer, const std::string& name);

}  // namespace coat
