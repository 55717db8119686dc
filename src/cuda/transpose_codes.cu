#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/transpose_tile.cuh"
#include "ops/quantize.h"

namespace coat::cuda {

namespace {

constexpr int kPatch = 16;
constexpr int kColumns = kLanesOfRow * kPatch;  // of a tile: one warp wide
constexpr int kThreads = 32 * kWarpsOfColumn;

/// 16 codes of a row, zeros beyond the matrix.
template <bool kVector>
__device__ Codes<kPatch> LoadRow(const std::uint8_t* x, std::int64_t row, std::int64_t column, std::int64_t n,
                                 std::int64_t width) {
  Codes<kPatch> codes = {};
  if constexpr (kVector) {
    if (row < n && column < width) codes = LoadCodes<kPatch>(x + row * width + column);
  } else {
#pragma unroll
    for (int i = 0; i < kPatch; ++i) {
      if (row < n && column + i < width) {
        codes.words[i / 4] |= static_cast<std::uint32_t>(x[row * width + column + i]) << (i % 4 * 8);
      }
    }
  }
  return codes;
}

/// y [width, n] = x [n, width] transposed. A block transposes a tile of 128 x 128 codes: 1 byte read and 1 written an
/// element, in runs of 128.
template <bool kVector>
__global__ void __launch_bounds__(kThreads, ResidentBlocks(kThreads, kVector ? 8 : 1))
    TransposeCodesKernel(const std::uint8_t* x, std::int64_t n, std::int64_t width, unsigned column_tiles,
                         std::uint8_t* y) {
  __shared__ alignas(16) std::uint32_t tile[kColumns * kTileWords];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x / column_tiles) * kTileRows;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x % column_tiles) * kColumns;
  const int warp_row = static_cast<int>(threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int patch_row = warp_row * kWarpRows + lane / kLanesOfRow * kPatchRows;
  const int patch_column = lane % kLanesOfRow * kPatch;
  Codes<kPatch> codes[kPatchRows];
#pragma unroll
  for (int i = 0; i < kPatchRows; ++i) {
    codes[i] = LoadRow<kVector>(x, row + patch_row + i, column + patch_column, n, width);
  }
  PutPatch(tile, warp_row, patch_column, codes);
  __syncthreads();
  StoreTransposed<kPatch, kColumns, kThreads, kVector>(tile, row, column, n, width, y);
}

}  // namespace

void TransposeCodes(Context& ctx, const TransposeCodesArgs& args) {
  const std::int64_t n = args.x.shape()[0];
  const std::int64_t width = args.x.shape()[1];
  if (args.x.elements() == 0) return;
  const std::int64_t column_tiles = DivideUp(width, kColumns);
  const std::int64_t tiles = DivideUp(n, kTileRows) * column_tiles;
  const auto* x = args.x.As<std::uint8_t>();
  auto* y = args.y.As<std::uint8_t>();
  const bool vector = n % kPiece == 0 && width % kPatch == 0 && IsAligned16(x) && IsAligned16(y);
  const auto kernel = vector ? &TransposeCodesKernel<true> : &TransposeCodesKernel<false>;
  kernel<<<static_cast<unsigned>(tiles), kThreads, 0, DeviceOf(ctx).stream()>>>(x, n, width,
                                                                                static_cast<unsigned>(column_tiles), y);
  COAT_CUDA(cudaGetLastError());
}

}  // namespace coat::cuda
