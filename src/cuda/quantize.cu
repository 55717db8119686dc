#include "ops/quantize.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/largest.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/transpose_tile.cuh"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kPatch = 8;                           // columns of a thread's patch
constexpr int kWarpColumns = kLanesOfRow * kPatch;  // columns that a warp holds
constexpr int kRunLog2 = 4;
constexpr int kRun = 1 << kRunLog2;  // the smallest group; every group is a multiple of it
constexpr int kLinesLog2 = 7;
constexpr int kLines = 1 << kLinesLog2;   // rows, and columns, of a tile with groups or blocks
constexpr int kRuns = kLines / kRun;      // of a line
constexpr int kPaddedLines = kLines + 4;  // keeps the groups of a line in different banks

/// A block's tile: 128 rows, and columns so that blocks of 128 x 128 lie in it where there are any.
template <bool kGroups>
constexpr int kTileColumns = kGroups ? kLines : kWarpColumns;
template <bool kGroups>
constexpr int kThreads = 32 * kWarpsOfColumn*(kTileColumns<kGroups> / kWarpColumns);

/// y or y_t.
struct Output {
  bool wanted = false;
  bool e5m2 = false;
  bool bf16_scales = false;
  Scaling scaling = Scaling::kTensor;
  int group_log2 = kRunLog2;
  std::uint8_t* codes = nullptr;
  void* scales = nullptr;
};

/// A thread's part of x, as it lies in memory.
template <class T>
using Patch = Packed<T, kPatch>[kPatchRows];

/// For each of 128 lines (rows or columns of a tile), its 8 runs of 16 elements: first the bits of their largest
/// magnitudes; then, at the first run of each group, the reciprocal of the group's scale.
using LineRuns = std::uint32_t[kRuns][kPaddedLines];

/// The reciprocals of the scales of a patch's elements, for y by row and for y_t by column.
struct Factors {
  float rows[kPatchRows] = {};
  float columns[kPatch] = {};
};

struct alignas(16) GroupMemory {
  LineRuns rows;
  LineRuns columns;
  std::uint32_t block;  // bits of the largest magnitude of the tile
};

/// Where a thread's patch lies in the tile.
struct Place {
  int warp_row;  // warps along the rows
  int row;
  int column;
};

template <bool kGroups>
__device__ Place PlaceInTile() {
  constexpr int kWarpsOfRow = kTileColumns<kGroups> / kWarpColumns;
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp_row = warp / kWarpsOfRow;
  return {warp_row, warp_row * kWarpRows + lane / kLanesOfRow * kPatchRows,
          warp % kWarpsOfRow * kWarpColumns + lane % kLanesOfRow * kPatch};
}

/// The patch of x [n, width] that begins at `row` and `column`; zeros beyond x.
template <class T, bool kVector>
__device__ void LoadPatch(const T* x, std::int64_t row, std::int64_t column, std::int64_t n, std::int64_t width,
                          Patch<T>& patch) {
  const T* first = x + row * width + column;
#pragma unroll
  for (int r = 0; r < kPatchRows; ++r) {
    if constexpr (kVector) {
      patch[r] = row + r < n && column < width ? Packed<T, kPatch>::Load(first + r * width) : Packed<T, kPatch>{};
    } else {
      float values[kPatch] = {};
#pragma unroll
      for (int c = 0; c < kPatch; ++c) {
        if (row + r < n && column + c < width) values[c] = ToFloat(first[r * width + c]);
      }
      patch[r] = Packed<T, kPatch>::Of(values);
    }
  }
}

/// The reciprocal of the scale for a largest magnitude; the scale is written to scales[index] if `store`.
template <class F>
__device__ float ReciprocalAs(const Output& out, float absmax, std::int64_t index, bool store) {
  if (out.bf16_scales) {
    const BFloat16 scale = GroupScaleFromAbsMax<F>(absmax);
    if (store) static_cast<BFloat16*>(out.scales)[index] = scale;
    return 1.0f / ToFloat(scale);
  }
  const float scale = ScaleFromAbsMax<F>(absmax);
  if (store) static_cast<float*>(out.scales)[index] = scale;
  return 1.0f / scale;
}

__device__ float Reciprocal(const Output& out, float absmax, std::int64_t index, bool store) {
  return out.e5m2 ? ReciprocalAs<E5M2>(out, absmax, index, store) : ReciprocalAs<E4M3>(out, absmax, index, store);
}

/// Largest magnitudes of the runs of rows, of the runs of columns and of the tile, as far as the outputs need them.
template <class T>
__device__ void FindMagnitudes(const Patch<T>& patch, const Place& place, bool rows, bool columns, bool block,
                               GroupMemory& memory) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  std::uint32_t of_rows[kPatchRows] = {};
#pragma unroll
  for (int r = 0; r < kPatchRows; ++r) {
    Largest<T> largest;
    largest.Take(patch[r]);
    of_rows[r] = largest.bits();
  }
  if (block) {
    const std::uint32_t of_patch = max(max(of_rows[0], of_rows[1]), max(of_rows[2], of_rows[3]));
    const std::uint32_t of_warp = __reduce_max_sync(kAllLanes, of_patch);
    if (lane == 0) atomicMax(&memory.block, of_warp);
  }
  if (rows) {
#pragma unroll
    for (int r = 0; r < kPatchRows; ++r) of_rows[r] = max(of_rows[r], __shfl_xor_sync(kAllLanes, of_rows[r], 1));
    if (lane % 2 == 0) {
      *reinterpret_cast<uint4*>(&memory.rows[place.column / kRun][place.row]) =
          make_uint4(of_rows[0], of_rows[1], of_rows[2], of_rows[3]);
    }
  }
  if (columns) {
    Packed<T, kPatch> largest =
        LargerMagnitudes(LargerMagnitudes(patch[0], patch[1]), LargerMagnitudes(patch[2], patch[3]));
    largest = LargerMagnitudes(largest, ShuffleXor(largest, kLanesOfRow));
    largest = LargerMagnitudes(largest, ShuffleXor(largest, 2 * kLanesOfRow));
    if (lane < kLanesOfRow) {
      float of_columns[kPatch];
      largest.Unpack(of_columns);
      StoreValues(reinterpret_cast<float*>(&memory.columns[place.warp_row][place.column]), of_columns);
    }
  }
}

/// From the magnitudes of runs to the scales and reciprocals of groups, by the threads from `thread` on. The tile's
/// lines are `line` and on of `lines` of the output's matrix [lines, extent], its first element is `begin` of each.
__device__ void ScaleGroups(const Output& out, int thread, std::int64_t line, std::int64_t lines, std::int64_t begin,
                            std::int64_t extent, LineRuns& runs) {
  const int runs_of_group = 1 << (out.group_log2 - kRunLog2);
  const int groups_log2 = kLinesLog2 - out.group_log2;  // of the groups of a line
#pragma unroll 1
  for (int i = thread; i < kLines << groups_log2; i += static_cast<int>(blockDim.x)) {
    const int tile_line = i >> groups_log2;
    const int run = (i - (tile_line << groups_log2)) * runs_of_group;
    std::uint32_t magnitude = 0;
#pragma unroll
    for (int r = 0; r < kRuns; ++r) {
      if (r < runs_of_group) magnitude = max(magnitude, runs[run + r][tile_line]);
    }
    const std::int64_t first = begin + run * kRun;
    const std::int64_t index = (line + tile_line) * (extent >> out.group_log2) + (first >> out.group_log2);
    const bool inside = line + tile_line < lines && first < extent;
    runs[run][tile_line] = __float_as_uint(Reciprocal(out, __uint_as_float(magnitude), index, inside));
  }
}

template <int kCount>
__device__ void SetAll(float (&factors)[kCount], float factor) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) factors[i] = factor;
}

/// The reciprocals for kCount rows (of y) or columns (of y_t) of a patch, which begin at `line` of the tile and lie in
/// run `run`; `whole` where they are of a tensor or block.
template <int kCount>
__device__ void LoadFactors(const Output& out, const LineRuns& runs, int line, int run, float whole,
                            float (&factors)[kCount]) {
  if (out.scaling == Scaling::kGroup) {
    const int runs_of_group = 1 << (out.group_log2 - kRunLog2);
    LoadValues(reinterpret_cast<const float*>(&runs[run & -runs_of_group][line]), factors);
  } else {
    SetAll(factors, whole);
  }
}

/// The tile's place in x.
struct TilePlace {
  std::int64_t row;
  std::int64_t column;
  std::int64_t n;
  std::int64_t width;
};

/// Where an output has groups or blocks: finds and stores the scales of the tile, gives the reciprocals of the patch's.
/// All threads of a block.
template <class T>
__device__ void FindFactors(const Patch<T>& patch, const Place& place, const TilePlace& tile, const float* absmax,
                            const Output& y, const Output& y_t, GroupMemory& memory, Factors& factors) {
  const auto is = [](const Output& out, Scaling scaling) { return out.wanted && out.scaling == scaling; };
  const bool row_groups = is(y, Scaling::kGroup);
  const bool column_groups = is(y_t, Scaling::kGroup);
  const bool blocks = is(y, Scaling::kBlock128) || is(y_t, Scaling::kBlock128);
  if (blocks) {
    if (threadIdx.x == 0) memory.block = 0;
    __syncthreads();
  }
  FindMagnitudes<T>(patch, place, row_groups, column_groups, blocks, memory);
  __syncthreads();
  // Where there are few groups, those of rows and of columns go to different threads.
  const auto thread = static_cast<int>(threadIdx.x);
  const int opposite = static_cast<int>(blockDim.x) - 1 - thread;
  if (row_groups) ScaleGroups(y, thread, tile.row, tile.n, tile.column, tile.width, memory.rows);
  if (column_groups) ScaleGroups(y_t, opposite, tile.column, tile.width, tile.row, tile.n, memory.columns);
  __syncthreads();
  const std::int64_t block_row = tile.row / kLines;
  const std::int64_t block_column = tile.column / kLines;
  const auto whole = [&](const Output& out, std::int64_t block_index) {
    if (!out.wanted || out.scaling == Scaling::kGroup) return 0.0f;
    const bool block = out.scaling == Scaling::kBlock128;
    const bool store = threadIdx.x == 0 && (block ? tile.row < tile.n && tile.column < tile.width : blockIdx.x == 0);
    return Reciprocal(out, block ? __uint_as_float(memory.block) : *absmax, block ? block_index : 0, store);
  };
  const float of_y = whole(y, block_row * (tile.width / kLines) + block_column);
  const float of_y_t = whole(y_t, block_column * (tile.n / kLines) + block_row);
  LoadFactors(y, memory.rows, place.row, place.column / kRun, of_y, factors.rows);
  LoadFactors(y_t, memory.columns, place.column, place.warp_row, of_y_t, factors.columns);
}

/// The codes of a patch under scales given by their reciprocals, one a row.
template <class T>
__device__ void EncodeByRow(const Output& out, const Patch<T>& patch, const float (&factors)[kPatchRows],
                            Codes<kPatch> (&codes)[kPatchRows]) {
#pragma unroll
  for (int r = 0; r < kPatchRows; ++r) {
    float values[kPatch];
    patch[r].Unpack(values);
    codes[r] = out.e5m2 ? EncodeScaled<E5M2>(values, factors[r]) : EncodeScaled<E4M3>(values, factors[r]);
  }
}

/// The same with one a column.
template <class T>
__device__ void EncodeByColumn(const Output& out, const Patch<T>& patch, const float (&factors)[kPatch],
                               Codes<kPatch> (&codes)[kPatchRows]) {
#pragma unroll
  for (int r = 0; r < kPatchRows; ++r) {
    float values[kPatch];
    patch[r].Unpack(values);
    codes[r] = out.e5m2 ? EncodeScaled<E5M2>(values, factors) : EncodeScaled<E4M3>(values, factors);
  }
}

/// Writes the codes of a patch that begins at `row` and `column` of y [n, width].
template <bool kVector>
__device__ void StorePatch(const Codes<kPatch> (&codes)[kPatchRows], std::int64_t row, std::int64_t column,
                           std::int64_t n, std::int64_t width, std::uint8_t* y) {
  std::uint8_t* first = y + row * width + column;
#pragma unroll
  for (int r = 0; r < kPatchRows; ++r) {
    if (row + r >= n || column >= width) continue;
    std::uint8_t* target = first + r * width;
    if constexpr (kVector) {
      StoreCodes(target, codes[r]);
    } else {
#pragma unroll
      for (int c = 0; c < kPatch; ++c) {
        if (column + c < width) target[c] = static_cast<std::uint8_t>(codes[r].words[c / 4] >> (c % 4 * 8));
      }
    }
  }
}

/// Blocks that a multiprocessor holds.
template <bool kGroups, bool kVector>
constexpr int kBlocksEach = kVector ? (kGroups ? 2 : 4) : 1;

/// Codes and scales of x [n, width] into y, of its transpose into y_t, or into both: x is read once, each code written
/// once, in runs of 64 bytes (y) and 128 (y_t). A tile has 128 rows and 64 columns, 128 columns where scales are of
/// groups or blocks, which all lie inside a tile; a thread keeps its 4 x 8 elements in registers. kGroups: an output
/// has scales of groups or blocks. kVector: addresses and extents allow whole accesses. same_codes: those of y_t are
/// those of y.
template <class T, bool kGroups, bool kVector>
__global__ void __launch_bounds__(kThreads<kGroups>, kBlocksEach<kGroups, kVector>)
    QuantizeKernel(const T* x, std::int64_t n, std::int64_t width, unsigned column_tiles, const float* absmax, Output y,
                   Output y_t, bool same_codes) {
  constexpr int kColumns = kTileColumns<kGroups>;
  __shared__ alignas(16) std::uint32_t tile[kColumns * kTileWords];
  const Place place = PlaceInTile<kGroups>();
  const std::int64_t tile_row = static_cast<std::int64_t>(blockIdx.x / column_tiles) * kTileRows;
  const std::int64_t tile_column = static_cast<std::int64_t>(blockIdx.x % column_tiles) * kColumns;
  const std::int64_t row = tile_row + place.row;
  const std::int64_t column = tile_column + place.column;
  Patch<T> patch;
  LoadPatch<T, kVector>(x, row, column, n, width, patch);

  Factors factors;
  if constexpr (kGroups) {
    __shared__ GroupMemory memory;
    FindFactors<T>(patch, place, {tile_row, tile_column, n, width}, absmax, y, y_t, memory, factors);
  } else {
    const bool store = blockIdx.x == 0 && threadIdx.x == 0;
    if (y.wanted) SetAll(factors.rows, Reciprocal(y, *absmax, 0, store));
    if (y_t.wanted) SetAll(factors.columns, Reciprocal(y_t, *absmax, 0, store));
  }
  Codes<kPatch> codes[kPatchRows];
  if (y.wanted) {
    EncodeByRow<T>(y, patch, factors.rows, codes);
    StorePatch<kVector>(codes, row, column, n, width, y.codes);
  }
  if (y_t.wanted) {
    if (!same_codes) EncodeByColumn<T>(y_t, patch, factors.columns, codes);
    PutPatch(tile, place.warp_row, place.column, codes);
    __syncthreads();
    StoreTransposed<kPatch, kColumns, kThreads<kGroups>, kVector>(tile, tile_row, tile_column, n, width, y_t.codes);
  }
}

Output OutputOf(const QuantizedView& view) {
  if (!view) return {};
  const bool groups = view.format.scaling == Scaling::kGroup;
  return {.wanted = true,
          .e5m2 = view.format.dtype == DType::kE5M2,
          .bf16_scales = view.format.scale_dtype == DType::kBF16,
          .scaling = view.format.scaling,
          .group_log2 = groups ? std::countr_zero(static_cast<unsigned>(view.format.group)) : kRunLog2,
          .codes = view.codes.As<std::uint8_t>(),
          .scales = view.scales.data()};
}

template <class T, bool kGroups>
void Launch(Context& ctx, const QuantizeArgs& args) {
  const std::int64_t n = args.x.shape()[0];
  const std::int64_t width = args.x.shape()[1];
  const T* x = args.x.As<T>();
  const Output y = OutputOf(args.y);
  const Output y_t = OutputOf(args.y_t);
  const bool vector = width % kPatch == 0 && IsAligned16(x) && IsAligned16(y.codes) && IsAligned16(y_t.codes) &&
                      (!y_t.wanted || n % kPiece == 0);
  const bool same_codes = args.y && args.y_t && args.y.format == args.y_t.format && y.scaling != Scaling::kGroup;
  // A matrix without elements has a scale.
  const std::int64_t row_tiles = std::max<std::int64_t>(DivideUp(n, kTileRows), 1);
  const std::int64_t column_tiles = std::max<std::int64_t>(DivideUp(width, kTileColumns<kGroups>), 1);
  const auto tiles = static_cast<unsigned>(row_tiles * column_tiles);
  const auto launch = [&]<bool kVector>() {
    QuantizeKernel<T, kGroups, kVector><<<tiles, kThreads<kGroups>, 0, DeviceOf(ctx).stream()>>>(
        x, n, width, static_cast<unsigned>(column_tiles), args.absmax.As<float>(), y, y_t, same_codes);
  };
  vector ? launch.template operator()<true>() : launch.template operator()<false>();
  COAT_CUDA(cudaGetLastError());
}

}  // namespace

void Quantize(Context& ctx, const QuantizeArgs& args) {
  const auto whole = [](const QuantizedView& view) { return !view || view.format.scaling == Scaling::kTensor; };
  VisitPlain(args.x.dtype(), [&]<class T>() {
    whole(args.y) && whole(args.y_t) ? Launch<T, false>(ctx, args) : Launch<T, true>(ctx, args);
  });
}

}  // namespace coat::cuda
