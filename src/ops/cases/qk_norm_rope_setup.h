#pragma once
// Sizes and operands of QkNormRope's cases.

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/layer_norm_rows.h"
#include "ops/cases/op_case.h"
#include "ops/cases/rotary_table.h"

namespace coat {

/// A case of either direction.
struct QkSetup {
  DType dtype = DType::kF32;
  std::int64_t sequences = 1, positions = 1, heads = 1, kv_heads = 1, head_size = 2;
  Data data = Data::kNormal;
  RowSpecial special = RowSpecial::kNone;
  float eps = 1e-6f;
  bool in_place = false;  // forward
  DType gradient = DType::kF32;
  bool accumulate = false, absmax = false;  // backward

  std::int64_t tokens() const { return sequences * positions; }
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_size; }
  std::int64_t queries() const { return heads * head_size; }
  std::int64_t rotated() const { return (heads + kv_heads) * head_size; }
  Shape shape() const { return {tokens(), width()}; }
  std::string Name() const {
    return fmt::format("{},B={},T={},H={},Hk={},K={},eps={},{}{}", NameOf(dtype), sequences, positions, heads, kv_heads,
                       head_size, eps, NameOf(data), NameOf(special));
  }
};

/// Queries or keys of a row: first column, width and the names of what belongs to them.
struct QkPart {
  std::int64_t first, width;
  const char* weight;
  const char* rstd;
  const char* d_weight;
};

inline std::vector<QkPart> PartsOf(const QkSetup& setup) {
  return {{0, setup.queries(), "q_weight", "q_rstd", "d_q_weight"},
          {setup.queries(), setup.rotated() - setup.queries(), "k_weight", "k_rstd", "d_k_weight"}};
}

inline void AddTableAndWeights(const QkSetup& setup, Operands& o, std::uint64_t seed) {
  AddRotaryTable(o, setup.positions, setup.head_size, /*theta=*/500000.0, seed);
  for (const QkPart& part : PartsOf(setup)) o.Input(part.weight, {part.width}, DType::kF32, seed);
}

/// An element's pair: its partner's column, and cosine and sine of the turn with the sine's sign for this element.
struct QkTurn {
  std::int64_t partner;
  float cosine, sine;
};

inline QkTurn TurnOf(const QkSetup& setup, ConstTensorView table, std::int64_t row, std::int64_t column) {
  const std::int64_t half = setup.head_size / 2;
  const std::int64_t in_head = column % setup.head_size;
  const float* angles = table.As<float>() + row % setup.positions * setup.head_size;
  const float cosine = angles[in_head % half];
  const float sine = angles[half + in_head % half];
  return in_head < half ? QkTurn{column + half, cosine, -sine} : QkTurn{column - half, cosine, sine};
}

/// Sizes around what a warp and a block hold, of heads that go in vectors and that do not, with queries only as many as
/// keys and with far more, with more tokens than there are partial sums of the weights' gradients, and with none.
inline std::vector<QkSetup> QkSetups(DType dtype) {
  std::vector<QkSetup> setups;
  const std::int64_t sizes[][5] = {// B, T, H, Hk, K
                                   {1, 1, 1, 1, 2},    {3, 7, 3, 1, 6},    {2, 37, 4, 2, 34},    {2, 9, 3, 1, 16},
                                   {2, 33, 4, 4, 32},  {3, 5, 6, 2, 80},   {2, 19, 16, 16, 128}, {1, 5, 40, 8, 128},
                                   {1, 3, 64, 1, 128}, {1, 2, 8, 2, 1024}, {1, 3, 65, 2, 128},   {1, 2, 130, 3, 128},
                                   {0, 3, 2, 2, 16},   {2, 700, 2, 1, 16}, {2, 700, 1, 1, 6},    {20000, 3, 1, 1, 2}};
  for (const auto& size : sizes) {
    setups.push_back({.dtype = dtype,
                      .sequences = size[0],
                      .positions = size[1],
                      .heads = size[2],
                      .kv_heads = size[3],
                      .head_size = size[4]});
  }
  return setups;
}

/// Data that is hard, for heads that go in vectors and for others.
inline std::vector<QkSetup> HardQkSetups(DType dtype) {
  std::vector<QkSetup> setups;
  for (const std::int64_t head_size : {std::int64_t{16}, std::int64_t{10}}) {
    QkSetup one = {.dtype = dtype, .sequences = 3, .positions = 6, .heads = 4, .kv_heads = 2, .head_size = head_size};
    for (const Data data : {Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge}) {
      one.data = data;
      setups.push_back(one);
    }
    one.data = Data::kNormal;
    for (const RowSpecial special :
         {RowSpecial::kLargestLast, RowSpecial::kConstantRows, RowSpecial::kNaN, RowSpecial::kInfinity}) {
      one.special = special;
      setups.push_back(one);
    }
    one.special = RowSpecial::kNone;
    one.eps = 0.25f;
    setups.push_back(one);
  }
  return setups;
}

}  // namespace coat
