#include "convert/float_type.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace coat {

namespace {

constexpr std::uint32_t kSign32 = 0x80000000u;
constexpr std::uint32_t kInfinity32 = 0x7f800000u;

/// The upper bits of float32 `bits`, without the lowest `dropped`, rounded to nearest, ties to even.
constexpr std::uint32_t RoundedShift(std::uint32_t bits, int dropped) {
  const std::uint32_t half = (1u << (dropped - 1)) - 1u;
  return (bits + half + ((bits >> dropped) & 1u)) >> dropped;
}

std::uint16_t ToBFloat16Bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x0040u);
  return static_cast<std::uint16_t>(RoundedShift(bits, 16));
}

float FromFloat16Bits(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = half >> 10 & 0x1fu;
  const std::uint32_t fraction = half & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | kInfinity32 | fraction << 13);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | (exponent + 112u) << 23 | fraction << 13);
}

std::uint16_t ToFloat16Bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits & kSign32) >> 16);
  const float magnitude = std::abs(value);
  if (std::isnan(value)) return sign | 0x7e00u;
  if (magnitude >= 65520.0f) return sign | 0x7c00u;  // halfway from the largest finite value to the next
  if (magnitude < 0x1p-14f) {                        // multiples of 2^-24: nearbyint rounds ties to even
    return sign | static_cast<std::uint16_t>(std::nearbyint(magnitude * 0x1p24f));
  }
  return sign | static_cast<std::uint16_t>(RoundedShift((bits & ~kSign32) - (112u << 23), 13));
}

float Load(const std::byte* from, FloatType type) {
  if (type == FloatType::kFloat32) {
    float value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  if (type == FloatType::kFloat16) return FromFloat16Bits(bits);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Returns the stored value as a float32.
float Store(float value, std::byte* to, FloatType type) {
  if (type == FloatType::kFloat32) {
    std::memcpy(to, &value, sizeof value);
    return value;
  }
  const std::uint16_t bits = type == FloatType::kFloat16 ? ToFloat16Bits(value) : ToBFloat16Bits(value);
  std::memcpy(to, &bits, sizeof bits);
  return Load(to, type);
}

}  // namespace

std::string_view SafetensorsName(FloatType type) {
  switch (type) {
    case FloatType::kFloat32:
      return "F32";
    case FloatType::kBFloat16:
      return "BF16";
    case FloatType::kFloat16:
      return "F16";
  }
  return "";
}

std::optional<FloatType> ParseSafetensorsName(std::string_view name) {
  for (const FloatType type : {FloatType::kFloat32, FloatType::kBFloat16, FloatType::kFloat16}) {
    if (SafetensorsName(type) == name) return type;
  }
  return std::nullopt;
}

std::string_view TorchName(FloatType type) {
  switch (type) {
    case FloatType::kFloat32:
      return "float32";
    case FloatType::kBFloat16:
      return "bfloat16";
    case FloatType::kFloat16:
      return "float16";
  }
  return "";
}

std::int64_t ConvertFloats(std::span<const std::byte> from, FloatType from_type, std::span<std::byte> to,
                           FloatType to_type) {
  const std::size_t count = from.size() / SizeOf(from_type);
  COAT_REQUIRE(count * SizeOf(from_type) == from.size() && count * SizeOf(to_type) == to.size(),
               "ConvertFloats: {} bytes of {} into {} bytes of {}", from.size(), SafetensorsName(from_type), to.size(),
               SafetensorsName(to_type));
  if (count == 0) return 0;
  if (from_type == to_type) {
    std::memcpy(to.data(), from.data(), from.size());
    return 0;
  }
  std::int64_t overflows = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const float value = Load(from.data() + i * SizeOf(from_type), from_type);
    const float stored = Store(value, to.data() + i * SizeOf(to_type), to_type);
    overflows += std::isinf(stored) && std::isfinite(value);
  }
  return overflows;
}

}  // namespace coat
