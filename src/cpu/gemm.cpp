// Matrix products through the BLAS: tiles of the operands are decoded to float32 in the thread's workspace, multiplied
// there, and written out in d's type. Tiles depend on shapes only, so results do not depend on the number of threads.

#include "ops/gemm.h"

#include <algorithm>

#include "base/divide.h"
#include "cpu/blas.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kMaxTile = 512;  // rows and columns of d
constexpr std::int64_t kMinTile = 64;
constexpr std::int64_t kMaxDepth = 1024;  // of k at a time
constexpr std::int64_t kEnoughTiles = 16;
static_assert((2 * kMaxTile * kMaxDepth + kMaxTile * kMaxTile) * 4 <= Context::kWorkspaceBytes);

struct Tiling {
  std::int64_t m, n;
};

/// The largest tiles that still give every core some: halves the larger side until there are enough.
Tiling TilingOf(const GemmShape& shape) {
  Tiling tile = {kMaxTile, kMaxTile};
  while (DivideUp(shape.m, tile.m) * DivideUp(shape.n, tile.n) < kEnoughTiles) {
    std::int64_t& larger = std::min(tile.m, shape.m) >= std::min(tile.n, shape.n) ? tile.m : tile.n;
    if (larger <= kMinTile) break;
    larger /= 2;
  }
  return tile;
}

/// A float32 tile with the distance between its rows.
struct Tile {
  const float* data;
  std::int64_t stride;
};

/// A rectangle of an operand as it lies in memory.
struct Region {
  std::int64_t row, rows, column, columns;
};

template <class T, class Decode>
void DecodeRegion(const T* codes, std::int64_t width, const Region& region, float* out, Decode&& decode) {
  for (std::int64_t r = 0; r < region.rows; ++r) {
    const T* from = codes + (region.row + r) * width + region.column;
    float* to = out + r * region.columns;
    for (std::int64_t c = 0; c < region.columns; ++c) to[c] = decode(from[c]);
  }
}

/// Decodes codes times their scales, which change every 128 columns and every `rows_per_scale` rows.
template <class F>
void DecodeScaledRegion(const ConstQuantizedView& x, std::int64_t rows_per_scale, const Region& region, float* out) {
  constexpr std::int64_t kRun = 128;
  const std::int64_t width = x.shape()[1];
  for (std::int64_t r = 0; r < region.rows; ++r) {
    const std::uint8_t* codes = x.codes.As<std::uint8_t>() + (region.row + r) * width;
    const float* scales = x.scales.As<float>() + (region.row + r) / rows_per_scale * (width / kRun);
    for (std::int64_t begin = region.column; begin < region.column + region.columns; begin += kRun) {
      const float scale = scales[begin / kRun];
      float* to = out + r * region.columns + (begin - region.column);
      for (std::int64_t i = 0; i < kRun; ++i) to[i] = DecodeFp8<F>(codes[begin + i]) * scale;
    }
  }
}

/// The region as float32: in place if x is f32, else decoded into `workspace`. Per-tensor scales are left to the
/// caller.
Tile Load(const ConstQuantizedView& x, const Region& region, float* workspace) {
  const std::int64_t width = x.shape()[1];
  switch (x.format.scaling) {
    case Scaling::kNone:
      if (x.format.dtype == DType::kF32) {
        return {x.codes.As<float>() + region.row * width + region.column, width};
      }
      DecodeRegion(x.codes.As<BFloat16>(), width, region, workspace, [](BFloat16 v) { return ToFloat(v); });
      break;
    case Scaling::kTensor:
      VisitFp8(x.format.dtype, [&]<class F>() {
        DecodeRegion(x.codes.As<std::uint8_t>(), width, region, workspace,
                     [](std::uint8_t code) { return DecodeFp8<F>(code); });
      });
      break;
    case Scaling::kGroup:
    case Scaling::kBlock128:
      VisitFp8(x.format.dtype, [&]<class F>() {
        DecodeScaledRegion<F>(x, x.format.scaling == Scaling::kGroup ? 1 : 128, region, workspace);
      });
      break;
  }
  return {workspace, region.columns};
}

float TensorScale(const ConstQuantizedView& x) {
  return x.format.scaling == Scaling::kTensor ? *x.scales.As<float>() : 1.0f;
}

/// d = sums, or d += sums, rounded to bf16.
void StoreBFloat16(const float* sums, std::int64_t rows, std::int64_t columns, BFloat16* d, std::int64_t stride,
                   bool accumulate) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* from = sums + r * columns;
    BFloat16* to = d + r * stride;
    if (accumulate) {
      for (std::int64_t c = 0; c < columns; ++c) to[c] = ToBFloat16(ToFloat(to[c]) + from[c]);
    } else {
      for (std::int64_t c = 0; c < columns; ++c) to[c] = ToBFloat16(from[c]);
    }
  }
}

}  // namespace

void Gemm(Context& ctx, const GemmArgs& args) {
  const GemmShape shape = ShapeOf(args);
  const Tiling tiling = TilingOf(shape);
  const std::int64_t row_tiles = DivideUp(shape.m, tiling.m);
  const std::int64_t column_tiles = DivideUp(shape.n, tiling.n);
  const bool a_transposed = args.layout == GemmLayout::kTN;
  const bool b_transposed = args.layout == GemmLayout::kNT;
  const float alpha = TensorScale(args.a) * TensorScale(args.b);
  ctx.ParallelFor(row_tiles * column_tiles, [&](std::int64_t index, int worker) {
    auto* workspace = reinterpret_cast<float*>(ctx.Workspace(worker));
    float* a_space = workspace;
    float* b_space = a_space + kMaxTile * kMaxDepth;
    float* d_space = b_space + kMaxTile * kMaxDepth;
    const std::int64_t row = index / column_tiles * tiling.m;
    const std::int64_t column = index % column_tiles * tiling.n;
    const std::int64_t rows = std::min(tiling.m, shape.m - row);
    const std::int64_t columns = std::min(tiling.n, shape.n - column);
    const bool direct = args.d.dtype() == DType::kF32;
    float* sums = direct ? args.d.As<float>() + row * shape.n + column : d_space;
    const std::int64_t stride = direct ? shape.n : columns;
    float beta = direct && args.accumulate ? 1.0f : 0.0f;
    for (std::int64_t k = 0; k < shape.k; k += kMaxDepth) {
      const std::int64_t depth = std::min(kMaxDepth, shape.k - k);
      const Tile a = Load(args.a, a_transposed ? Region{k, depth, row, rows} : Region{row, rows, k, depth}, a_space);
      const Tile b =
          Load(args.b, b_transposed ? Region{column, columns, k, depth} : Region{k, depth, column, columns}, b_space);
      Sgemm(a_transposed, b_transposed, rows, columns, depth, alpha, a.data, a.stride, b.data, b.stride, beta, sums,
            stride);
      beta = 1.0f;
    }
    if (!direct) {
      StoreBFloat16(d_space, rows, columns, args.d.As<BFloat16>() + row * shape.n + column, shape.n, args.accumulate);
    }
  });
}

}  // namespace coat::cpu
