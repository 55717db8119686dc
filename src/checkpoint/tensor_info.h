#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coat {

/// One tensor of a safetensors file: dense, row-major, little-endian.
struct TensorInfo {
  std::string name;
  std::string dtype;                // the format's own name: F32, BF16, F8_E4M3, F8_E5M2, U8, I32, I64, ...
  std::vector<std::int64_t> shape;  // empty: one element
  std::uint64_t begin = 0;          // its bytes in the file's data section; set by the reader and the writer
  std::uint64_t end = 0;

  std::uint64_t size_bytes() const { return end - begin; }
};

/// Bytes an element of a safetensors dtype takes; nothing for a name that the format does not have or whose elements
/// are no whole bytes (F4, F6_E2M3, F6_E3M2).
std::optional<std::uint64_t> ElementBytes(std::string_view dtype);

/// Bytes of a whole tensor; nothing if a size is negative or the product is not below 2^63.
std::optional<std::uint64_t> TensorBytes(const std::vector<std::int64_t>& shape, std::uint64_t element_bytes);

/// "[2, 3]"; only the first sizes of an absurdly long shape.
std::string ShapeText(const std::vector<std::int64_t>& shape);

/// "F32, BF16, ...": what ElementBytes knows, for error messages.
std::string KnownDtypes();

}  // namespace coat
