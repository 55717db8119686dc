#pragma once
// Documents within a sequence of tokens.

#include <cstdint>
#include <span>

namespace coat {

/// For each of T tokens, the position at which its document begins. A document ends with `end_of_document`, which is
/// part of it; the first begins with the sequence and the last ends with it.
///
/// Throws ArgumentError unless both spans have one size. Source: OLMo's get_document_lengths, as starts.
void FindDocuments(std::span<const std::int32_t> tokens, std::int32_t end_of_document, std::span<std::int32_t> starts);

}  // namespace coat
