#pragma once
// The operand "table" of the rotary ops' cases.

#include <cmath>
#include <cstdint>

#include "ops/cases/op_case.h"

namespace coat {

/// Adds the input "table" [positions, head_size] f32: cosines of the angles of each position, then sines.
inline void AddRotaryTable(Operands& operands, std::int64_t positions, std::int64_t head_size, double theta,
                           std::uint64_t seed) {
  float* table = operands.Input("table", {positions, head_size}, DType::kF32, seed).As<float>();
  const std::int64_t half = head_size / 2;
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t j = 0; j < half; ++j) {
      const double angle =
          static_cast<double>(p) * std::pow(theta, -static_cast<double>(j) / static_cast<double>(half));
      table[p * head_size + j] = static_cast<float>(std::cos(angle));
      table[p * head_size + half + j] = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace coat
