#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace coat {

/// Element types of tensors. Formats of values only: how FP8 codes are scaled is Scaling (base/tensor.h).
enum class DType : std::uint8_t { kF32, kBF16, kE4M3, kE5M2, kU8, kI32, kI64 };

/// Bytes of one element.
constexpr std::int64_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
      return 2;
    case DType::kE4M3:
    case DType::kE5M2:
    case DType::kU8:
      return 1;
    case DType::kI64:
      return 8;
  }
  return 0;
}

/// The name used in messages and documents: "f32", "bf16", "e4m3", "e5m2", "u8", "i32", "i64".
constexpr std::string_view NameOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kBF16:
      return "bf16";
    case DType::kE4M3:
      return "e4m3";
    case DType::kE5M2:
      return "e5m2";
    case DType::kU8:
      return "u8";
    case DType::kI32:
      return "i32";
    case DType::kI64:
      return "i64";
  }
  return "?";
}

constexpr bool IsFp8(DType dtype) {
  return dtype == DType::kE4M3 || dtype == DType::kE5M2;
}

/// True for the types in which activations and weights are computed: f32 and bf16.
constexpr bool IsPlain(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16;
}

/// Where a tensor's bytes are. kMeta has no bytes: a step run on it checks every shape and measures every arena.
enum class DeviceKind : std::uint8_t { kMeta, kCpu, kCuda };

constexpr std::string_view NameOf(DeviceKind device) {
  switch (device) {
    case DeviceKind::kMeta:
      return "meta";
    case DeviceKind::kCpu:
      return "cpu";
    case DeviceKind::kCuda:
      return "cuda";
  }
  return "?";
}

}  // namespace coat
