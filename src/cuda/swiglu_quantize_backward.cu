// The SwiGLU op that quantizes, backward. Two passes: largest magnitudes first, then codes; gradients and product are
// computed twice rather than stored. The second pass goes from the end to the beginning: what the first read last is
// still in the L2 cache.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "base/error.h"
#include "cuda/block_reduce.cuh"
#include "cuda/device.h"
#include "cuda/larger_magnitude.cuh"
#include "cuda/packed.cuh"
#include "cuda/run_loop.cuh"
#include "cuda/transpose_tile.cuh"
#include "numerics/activation.h"
#include "numerics/scale.h"
#include "ops/swiglu.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;

/// What both passes read.
template <class T>
struct Inputs {
  const std::uint8_t* __restrict__ codes;  // of up and gate
  const BFloat16* __restrict__ scales;
  const T* __restrict__ d_product;
  int group_shift;  // log2 of G
  std::int64_t rows, width;
};

/// Largest magnitudes of the gradients and of the product, to absmax[0] and absmax[1]. A thread takes 16 columns of a
/// row at a time: it reads 68 bytes (bf16).
template <class T, class Saved>
__global__ void __launch_bounds__(kThreads, 4)
    GradientAbsMaxKernel(const Inputs<T> in, std::int64_t runs, float* absmax) {
  RunLoop loop(runs, in.width);
  float of_gradient = 0.0f, of_product = 0.0f;
  for (; loop.Goes(); loop.Advance()) {
    Codes<kRun> codes_of_up = {}, codes_of_gate = {};
    Packed<T, 8> d_products[2] = {};
    BFloat16 scale_of_up, scale_of_gate;
    if (loop.active()) {  // all loads before the work; zeros count for nothing
      const std::int64_t up_at = loop.up();
      codes_of_up = LoadCodes<kRun>(in.codes + up_at);
      codes_of_gate = LoadCodes<kRun>(in.codes + up_at + in.width);
      d_products[0] = Packed<T, 8>::Load(in.d_product + loop.half());
      d_products[1] = Packed<T, 8>::Load(in.d_product + loop.half() + 8);
      scale_of_up = in.scales[up_at >> in.group_shift];
      scale_of_gate = in.scales[(up_at + in.width) >> in.group_shift];
    }
    float up[kRun], gate[kRun];
    Decode<Saved>(codes_of_up, up);
    Decode<Saved>(codes_of_gate, gate);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      float d_product[8];
      d_products[i / 8].Unpack(d_product);
      const SwigluGradient g =
          SwigluBackwardElement(up[i] * ToFloat(scale_of_up), gate[i] * ToFloat(scale_of_gate), d_product[i % 8]);
      of_gradient = LargerMagnitude(LargerMagnitude(of_gradient, g.d_up), g.d_gate);
      of_product = LargerMagnitude(of_product, g.product);
    }
  }
  ReportAbsMax<kThreads>(__float_as_uint(of_gradient), absmax);
  __syncthreads();  // the second report uses the shared memory of the first
  ReportAbsMax<kThreads>(__float_as_uint(of_product), absmax + 1);
}

/// What the second pass writes.
struct Outputs {
  std::uint8_t* __restrict__ d_up_gate;
  std::uint8_t* __restrict__ d_up_gate_t;
  std::uint8_t* __restrict__ product_t;
  float* scale;
  float* scale_t;
  float* scale_of_product;
};

constexpr int kTileColumns = 128;
constexpr int kPatch = 8;  // columns of a thread
constexpr int kWarpsOfRow = kTileColumns / (kLanesOfRow * kPatch);
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kRounds = kWarpsOfColumn * kWarpsOfRow / kWarps;  // patches of a thread
static_assert(kWarpsOfColumn * kWarpsOfRow % kWarps == 0);

/// The transposed tiles of a block: 48 KB.
struct Tiles {
  std::uint32_t d_up[kTileColumns * kTileWords];
  std::uint32_t d_gate[kTileColumns * kTileWords];
  std::uint32_t product[kTileColumns * kTileWords];
};

/// Inputs of kPatch columns of a row as they lie in memory; zeros outside of the matrix.
template <class T>
struct PatchRow {
  Codes<kPatch> up = {}, gate = {};
  Packed<T, kPatch> d_product = {};
  BFloat16 scale_of_up, scale_of_gate;
};

/// The inputs whose first element is `half_at` in a matrix [N, F], `up_at` in the first half of a matrix [N, 2F].
template <class T>
__device__ PatchRow<T> LoadPatchRow(const Inputs<T>& in, std::int64_t half_at, std::int64_t up_at, bool inside) {
  PatchRow<T> patch;
  if (!inside) return patch;
  patch.up = LoadCodes<kPatch>(in.codes + up_at);
  patch.gate = LoadCodes<kPatch>(in.codes + up_at + in.width);
  patch.d_product = Packed<T, kPatch>::Load(in.d_product + half_at);
  patch.scale_of_up = in.scales[up_at >> in.group_shift];
  patch.scale_of_gate = in.scales[(up_at + in.width) >> in.group_shift];
  return patch;
}

/// All codes, given the largest magnitudes. A block takes a tile of 128 tokens and 128 columns, from the last on; a
/// thread 4 tokens and 8 columns at a time, whose codes it stores along rows and puts into transposed tiles. Reads 4.25
/// bytes an element of the product (bf16, groups of 16) and writes 5.
template <class T, class Saved, class Gradient, class GradientT, class Product>
__global__ void __launch_bounds__(kThreads, 3)
    GradientCodesKernel(const Inputs<T> in, const float* __restrict__ absmax, const Outputs out) {
  __shared__ __align__(16) Tiles tiles;
  const float scale = ScaleFromAbsMax<Gradient>(absmax[0]);
  const float scale_t = ScaleFromAbsMax<GradientT>(absmax[0]);
  const float scale_of_product = ScaleFromAbsMax<Product>(absmax[1]);
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    *out.scale = scale;
    *out.scale_t = scale_t;
    *out.scale_of_product = scale_of_product;
  }
  const float reciprocal = 1.0f / scale;
  const float reciprocal_t = std::is_same_v<Gradient, GradientT> ? reciprocal : 1.0f / scale_t;
  const float reciprocal_of_product = 1.0f / scale_of_product;

  const auto tiles_of_row = max(static_cast<unsigned>((in.width + kTileColumns - 1) / kTileColumns), 1u);
  const unsigned tile = gridDim.x - 1 - blockIdx.x;
  const std::int64_t tile_row = std::int64_t{tile / tiles_of_row} * kTileRows;
  const std::int64_t tile_column = std::int64_t{tile % tiles_of_row} * kTileColumns;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int patch_column = (warp % kWarpsOfRow * kLanesOfRow + lane % kLanesOfRow) * kPatch;
  const std::int64_t column = tile_column + patch_column;
#pragma unroll 1
  for (int round = 0; round < kRounds; ++round) {
    const int warp_row = warp / kWarpsOfRow + round * (kWarps / kWarpsOfRow);
    const std::int64_t row = tile_row + warp_row * kWarpRows + lane / kLanesOfRow * kPatchRows;
    const std::int64_t half_at = row * in.width + column;
    const std::int64_t up_at = half_at + row * in.width;
    const std::int64_t rows_inside = column < in.width ? in.rows - row : 0;
    PatchRow<T> patch[kPatchRows];
#pragma unroll
    for (int r = 0; r < kPatchRows; ++r) {
      patch[r] = LoadPatchRow(in, half_at + r * in.width, up_at + r * 2 * in.width, r < rows_inside);
    }
    Codes<kPatch> d_up[kPatchRows], d_gate[kPatchRows], product[kPatchRows];
#pragma unroll
    for (int r = 0; r < kPatchRows; ++r) {
      float up[kPatch], gate[kPatch], d_product[kPatch];
      Decode<Saved>(patch[r].up, up);
      Decode<Saved>(patch[r].gate, gate);
      patch[r].d_product.Unpack(d_product);
#pragma unroll
      for (int i = 0; i < kPatch; ++i) {
        const SwigluGradient g = SwigluBackwardElement(up[i] * ToFloat(patch[r].scale_of_up),
                                                       gate[i] * ToFloat(patch[r].scale_of_gate), d_product[i]);
        up[i] = g.d_up;
        gate[i] = g.d_gate;
        d_product[i] = g.product;
      }
      d_up[r] = EncodeScaled<Gradient>(up, reciprocal);
      d_gate[r] = EncodeScaled<Gradient>(gate, reciprocal);
      product[r] = EncodeScaled<Product>(d_product, reciprocal_of_product);
      if (r < rows_inside) {
        std::uint8_t* target = out.d_up_gate + up_at + r * 2 * in.width;
        StoreCodes(target, d_up[r]);
        StoreCodes(target + in.width, d_gate[r]);
      }
      if constexpr (!std::is_same_v<Gradient, GradientT>) {
        d_up[r] = EncodeScaled<GradientT>(up, reciprocal_t);
        d_gate[r] = EncodeScaled<GradientT>(gate, reciprocal_t);
      }
    }
    PutPatch<kPatch>(tiles.d_up, warp_row, patch_column, d_up);
    PutPatch<kPatch>(tiles.d_gate, warp_row, patch_column, d_gate);
    PutPatch<kPatch>(tiles.product, warp_row, patch_column, product);
  }
  __syncthreads();
  const auto store = [&]<bool kVector>() {
    std::uint8_t* d_gate_t = out.d_up_gate_t + in.width * in.rows;
    StoreTransposed<kPatch, kTileColumns, kVector>(tiles.d_up, tile_row, tile_column, in.rows, in.width,
                                                   out.d_up_gate_t);
    StoreTransposed<kPatch, kTileColumns, kVector>(tiles.d_gate, tile_row, tile_column, in.rows, in.width, d_gate_t);
    StoreTransposed<kPatch, kTileColumns, kVector>(tiles.product, tile_row, tile_column, in.rows, in.width,
                                                   out.product_t);
  };
  if (in.rows % kPiece == 0) {
    store.template operator()<true>();
  } else {
    store.template operator()<false>();
  }
}

}  // namespace

void SwigluQuantizeBackward(Context& ctx, const SwigluQuantizeBackwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  const std::int64_t rows = args.d_product.shape()[0];
  const std::int64_t width = args.d_product.shape()[1];
  float* absmax = args.absmax.As<float>();
  COAT_REQUIRE(IsAligned16(args.up_gate.codes.data()) && IsAligned16(args.d_product.data()) &&
                   IsAligned16(args.d_up_gate.codes.data()) && IsAligned16(args.d_up_gate_t.codes.data()) &&
                   IsAligned16(args.product_t.codes.data()),
               "SwigluQuantizeBackward's tensors must begin at multiples of 16 bytes");
  const Outputs out = {args.d_up_gate.codes.As<std::uint8_t>(), args.d_up_gate_t.codes.As<std::uint8_t>(),
                       args.product_t.codes.As<std::uint8_t>(), args.d_up_gate.scales.As<float>(),
                       args.d_up_gate_t.scales.As<float>(),     args.product_t.scales.As<float>()};
  const std::int64_t tiles = (rows + kTileRows - 1) / kTileRows * ((width + kTileColumns - 1) / kTileColumns);
  const auto blocks = static_cast<unsigned>(tiles > 0 ? tiles : 1);  // one without elements writes the scales
  COAT_CUDA(cudaMemsetAsync(absmax, 0, 2 * sizeof(float), device.stream()));
  VisitPlain(args.d_product.dtype(), [&]<class T>() {
    const Inputs<T> in = {.codes = args.up_gate.codes.As<std::uint8_t>(),
                          .scales = args.up_gate.scales.As<BFloat16>(),
                          .d_product = args.d_product.As<T>(),
                          .group_shift = std::countr_zero(static_cast<unsigned>(args.up_gate.format.group)),
                          .rows = rows,
                          .width = width};
    VisitFp8(args.up_gate.format.dtype, [&]<class Saved>() {
      const std::int64_t runs = rows * width / kRun;
      GradientAbsMaxKernel<T, Saved>
          <<<BlocksForRuns(runs, kThreads, device.multiprocessors()), kThreads, 0, device.stream()>>>(in, runs, absmax);
      COAT_CUDA(cudaGetLastError());
      VisitFp8(args.d_up_gate.format.dtype, [&]<class Gradient>() {
        VisitFp8(args.d_up_gate_t.format.dtype, [&]<class GradientT>() {
          VisitFp8(args.product_t.format.dtype, [&]<class Product>() {
            GradientCodesKernel<T, Saved, Gradient, GradientT, Product>
                <<<blocks, kThreads, 0, device.stream()>>>(in, absmax, out);
          });
        });
      });
      COAT_CUDA(cudaGetLastError());
    });
  });
}

}  // namespace coat::cuda
