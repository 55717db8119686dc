#include "checkpoint/tensor_info.h"

#include <fmt/format.h>

#include <array>

namespace coat {

namespace {

struct Dtype {
  std::string_view name;
  std::uint64_t element_bytes;
};

constexpr std::array<Dtype, 17> kDtypes = {{{"BOOL", 1},
                                            {"U8", 1},
                                            {"I8", 1},
                                            {"F8_E4M3", 1},
                                            {"F8_E5M2", 1},
                                            {"F8_E8M0", 1},
                                            {"U16", 2},
                                            {"I16", 2},
                                            {"F16", 2},
                                            {"BF16", 2},
                                            {"U32", 4},
                                            {"I32", 4},
                                            {"F32", 4},
                                            {"U64", 8},
                                            {"I64", 8},
                                            {"F64", 8},
                                            {"C64", 8}}};

}  // namespace

std::optional<std::uint64_t> ElementBytes(std::string_view dtype) {
  for (const Dtype& known : kDtypes) {
    if (known.name == dtype) return known.element_bytes;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> TensorBytes(const std::vector<std::int64_t>& shape, std::uint64_t element_bytes) {
  auto bytes = static_cast<std::int64_t>(element_bytes);
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return static_cast<std::uint64_t>(bytes);
}

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  constexpr std::size_t kMostSizes = 16;
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size() && i < kMostSizes; ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", shape[i]);
  }
  return text + (shape.size() > kMostSizes ? fmt::format(", ... {} sizes]", shape.size()) : "]");
}

std::string KnownDtypes() {
  std::string names;
  for (const Dtype& known : kDtypes) names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
  return names;
}

}  // namespace coat
