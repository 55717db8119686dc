#pragma once
// The plain floating-point types of safetensors files, and values carried from one to another.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace coat {

enum class FloatType : std::uint8_t { kFloat32, kBFloat16, kFloat16 };

/// Bytes of one value.
constexpr std::size_t SizeOf(FloatType type) {
  return type == FloatType::kFloat32 ? 4 : 2;
}

/// The safetensors name: "F32", "BF16", "F16".
std::string_view SafetensorsName(FloatType type);
/// The type with this safetensors name, if it is one of them.
std::optional<FloatType> ParseSafetensorsName(std::string_view name);
/// The name in a Hugging Face config.json: "float32", "bfloat16", "float16".
std::string_view TorchName(FloatType type);

/// Carries the values of `from` to `to`, which has room for exactly as many; any alignment.
///
/// Exact where `to_type` has every value of `from_type`; else rounded to nearest, ties to even. Between equal types the
/// bytes are copied, else a NaN becomes a quiet one. Returns how many finite values became infinite.
std::int64_t ConvertFloats(std::span<const std::byte> from, FloatType from_type, std::span<std::byte> to,
                           FloatType to_type);

}  // namespace coat
