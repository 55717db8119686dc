#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "convert/model.h"

namespace coat {

/// Takes the next bytes of a tensor.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// Hands `count` values of a tensor, from the element `first`, to `sink` as values of `type`, a few at a time.
///
/// Exact where `type` has every value of the piece's type, else rounded to nearest, ties to even. Throws IoError with
/// the piece's place if a finite value would become infinite.
void CopyValues(const ModelTensor& tensor, std::int64_t first, std::int64_t count, FloatType type,
                const ByteSink& sink);

}  // namespace coat
