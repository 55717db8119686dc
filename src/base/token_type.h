#pragma once

#include <cstdint>

namespace coat {

/// How a token file stores one token id.
enum class TokenType : std::uint8_t { kUint16, kUint32 };

/// Bytes of one token id.
constexpr std::int64_t SizeOf(TokenType type) { return type == TokenType::kUint16 ? 2 : 4; }

}  // namespace coat
