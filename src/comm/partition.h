#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "base/divide.h"
#include "base/tensor.h"

namespace coat {

/// A run of the elements of a tensor, in row-major order.
struct Part {
  std::int64_t first = 0;
  std::int64_t count = 0;

  std::int64_t end() const { return first + count; }
  bool operator==(const Part&) const = default;
};

/// Rank `rank`'s part of `elements` elements that `ranks` ranks share in whole units: the same number of units each,
/// rounded up, so that the last ranks have less or nothing. With one rank it is everything. `unit` and `ranks` are at
/// least 1.
constexpr Part PartOf(std::int64_t elements, std::int64_t unit, int rank, int ranks) {
  const std::int64_t units = DivideUp(elements, unit);
  const std::int64_t each = DivideUp(units, ranks) * unit;
  const std::int64_t first = std::min(rank * each, elements);
  return {first, std::min(each, elements - first)};
}

/// The unit in which a model's tensors are shared: whole 128s, and whole groups of `group` elements.
constexpr std::int64_t SharingUnit(std::int64_t group) {
  return std::lcm<std::int64_t>(128, group);
}

/// A tensor that every rank has room for, and the unit in which ranks share it.
struct SharedTensor {
  TensorView whole;
  std::int64_t unit = 1;
};

/// The part as a tensor of its own, [count]; `x` is dense.
inline TensorView ViewOf(TensorView x, Part part) {
  return {x.As<char>() + part.first * SizeOf(x.dtype()), {part.count}, x.dtype(), x.device()};
}

}  // namespace coat
