// The SwiGLU op that quantizes, backward. Two passes: largest magnitudes first, then codes; gradients and product are
// computed twice rather than stored. The second pass goes from the end to the beginning: what the first read last is
// still in the L2 cache.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/divide.h"
#include "base/error.h"
#include "cuda/device/device.h"
#include "cuda/kernel/async_copy.cuh"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/larger_magnitude.cuh"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/run_loop.cuh"
#include "cuda/kernel/transpose_tile.cuh"
#include "cuda/swiglu_bounds.cuh"
#include "numerics/activation.h"
#include "numerics/scale.h"
#include "ops/swiglu.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kPatch = 8;  // columns of a row that a thread computes together

/// What both passes read.
template <class T>
struct Inputs {
  const std::uint8_t* __restrict__ codes;  // of up and gate
  const BFloat16* __restrict__ scales;
  const T* __restrict__ d_product;
  int group_shift;              // log2 of G
  std::int64_t groups_of_half;  // of a row
  std::int64_t rows, width;
};

/// Inputs of kPatch columns of a row as they lie in memory.
template <class T>
struct PatchRow {
  Codes<kPatch> up, gate;
  Packed<T, kPatch> d_product;
  float scale_of_up, scale_of_gate;
};

/// The inputs whose first element is `half_at` in a matrix [N, F] and `up_at` in the first half of a matrix [N, 2F],
/// and whose up has scale `scale_at`.
template <class T>
__device__ PatchRow<T> LoadPatchRow(const Inputs<T>& in, std::int64_t half_at, std::int64_t up_at,
                                    std::int64_t scale_at) {
  return {.up = LoadCodes<kPatch>(in.codes + up_at),
          .gate = LoadCodes<kPatch>(in.codes + up_at + in.width),
          .d_product = Packed<T, kPatch>::Load(in.d_product + half_at),
          .scale_of_up = ToFloat(in.scales[scale_at]),
          .scale_of_gate = ToFloat(in.scales[scale_at + in.groups_of_half])};
}

/// What SwigluBackwardElement gives for kPatch columns.
struct PatchGradients {
  float d_up[kPatch], d_gate[kPatch], product[kPatch];
};

template <class Saved, class T>
__device__ PatchGradients GradientsOf(const PatchRow<T>& patch) {
  float up[kPatch], gate[kPatch], d_product[kPatch];
  Decode<Saved>(patch.up, up);
  Decode<Saved>(patch.gate, gate);
  patch.d_product.Unpack(d_product);
  PatchGradients gradients;
#pragma unroll
  for (int i = 0; i < kPatch; ++i) {
    const SwigluGradient g =
        SwigluBackwardElement(up[i] * patch.scale_of_up, gate[i] * patch.scale_of_gate, d_product[i]);
    gradients.d_up[i] = g.d_up;
    gradients.d_gate[i] = g.d_gate;
    gradients.product[i] = g.product;
  }
  return gradients;
}

/// Raises the bits of a largest magnitude of the block, and with them those of all blocks.
__device__ void Raise(std::uint32_t magnitude_bits, std::uint32_t& of_block, float& of_all) {
  if (atomicMax(&of_block, magnitude_bits) < magnitude_bits) {
    atomicMax(reinterpret_cast<std::uint32_t*>(&of_all), magnitude_bits);
  }
}

/// Largest magnitudes of the gradients and of the product, to absmax[0] and absmax[1]. A thread takes 16 columns of a
/// row at a time: it reads 68 bytes (bf16). Only runs whose bounds exceed the largest magnitudes that are known so far
/// are computed: after a beginning there are few, and memory sets the time. What is known may be old, but is never too
/// large.
template <class T, class Saved>
__global__ void __launch_bounds__(kThreads, 4)
    GradientAbsMaxKernel(const Inputs<T> in, std::int64_t runs, float* absmax) {
  constexpr float kLargestFloat = 3.40282347e+38f;
  __shared__ std::uint32_t known[2];  // bits, as absmax
  const auto known_to_all = [&] { return reinterpret_cast<volatile std::uint32_t*>(absmax)[threadIdx.x]; };
  const auto limit = [&](int i) {
    return fminf(__uint_as_float(static_cast<volatile std::uint32_t*>(known)[i]), kLargestFloat);
  };
  if (threadIdx.x < 2) known[threadIdx.x] = known_to_all();
  __syncthreads();
  for (RunLoop loop(runs, in.width); loop.Goes(); loop.Advance()) {
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
    if (threadIdx.x < 2) atomicMax(&known[threadIdx.x], known_to_all());
    float largest_up = 0.0f, largest_gate = 0.0f, positive_gate = 0.0f, largest_d_product = 0.0f;
    float up[kRun], gate[kRun];
    Decode<Saved>(codes_of_up, up);
    Decode<Saved>(codes_of_gate, gate);
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      float d_product[8];
      d_products[i / 8].Unpack(d_product);
      largest_up = LargerMagnitude(largest_up, up[i]);
      largest_gate = LargerMagnitude(largest_gate, gate[i]);
      positive_gate = fmaxf(positive_gate, gate[i]);
      largest_d_product = LargerMagnitude(largest_d_product, d_product[i % 8]);
    }
    largest_gate *= ToFloat(scale_of_gate);
    const SwigluBounds bounds = SwigluBoundsOf(largest_up * ToFloat(scale_of_up), largest_gate,
                                               positive_gate * ToFloat(scale_of_gate), largest_d_product);
    // Comparisons that are false for NaN and infinity.
    const bool within = bounds.gradient <= limit(0) && bounds.product <= limit(1) && largest_gate <= kLargestFloat;
    if (__all_sync(kAllLanes, within)) continue;
    float of_gradient = 0.0f, of_product = 0.0f;
    if (loop.active()) {  // loads again what is still in a cache: kept in registers it would burden the common path
#pragma unroll 1
      for (int column = 0; column < kRun; column += kPatch) {
        const PatchGradients g =
            GradientsOf<Saved>(LoadPatchRow(in, loop.half() + column, loop.up() + column, loop.up() >> in.group_shift));
#pragma unroll
        for (int i = 0; i < kPatch; ++i) {
          of_gradient = LargerMagnitude(LargerMagnitude(of_gradient, g.d_up[i]), g.d_gate[i]);
          of_product = LargerMagnitude(of_product, g.product[i]);
        }
      }
    }
    const std::uint32_t gradient_bits = __reduce_max_sync(kAllLanes, __float_as_uint(of_gradient));
    const std::uint32_t product_bits = __reduce_max_sync(kAllLanes, __float_as_uint(of_product));
    if (threadIdx.x % kWarpSize == 0) {
      Raise(gradient_bits, known[0], absmax[0]);
      Raise(product_bits, known[1], absmax[1]);
    }
  }
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

constexpr int kTileColumns = kLanesOfRow * kPatch;
static_assert(kThreads == kWarpSize * kWarpsOfColumn);  // a patch a thread

/// Blocks of the second pass that a multiprocessor holds, by registers.
template <class T>
constexpr int kBlocksEach = sizeof(T) == 2 ? 3 : 2;

/// The shared memory of a block of the second pass: 64 KB (bf16).
template <class T>
struct TileMemory {
  /// Inputs that are under way; each thread reads only what it has asked for.
  Codes<kPatch> up[kPatchRows][kThreads], gate[kPatchRows][kThreads];
  uint4 d_product[kPatchRows][Packed<T, kPatch>::kWords][kThreads];
  std::uint32_t scales_of_up[kPatchRows][kThreads], scales_of_gate[kPatchRows][kThreads];  // pairs
  /// Transposed codes.
  std::uint32_t d_up_t[kTileColumns * kTileWords], d_gate_t[kTileColumns * kTileWords];
  std::uint32_t product_t[kTileColumns * kTileWords];
};

/// The scale at an index, odd or even, from its pair.
__device__ float ScaleOfPair(std::uint32_t pair, bool odd) {
  return __uint_as_float(odd ? pair & 0xffff0000u : pair << 16);
}

/// Copies of the rows of a thread's patch to shared memory, one after the other; rows outside of the matrix are left
/// out. Of the scales, pairs are copied, as fewer bytes cannot be: rows of scales have an even length, so that pairs
/// lie inside.
template <class T>
class PatchCopies {
 public:
  __device__ PatchCopies(const Inputs<T>& in, std::int64_t row, std::int64_t column, bool wanted) {
    rows_inside_ = wanted && column < in.width ? static_cast<int>(min(in.rows - row, std::int64_t{kPatchRows})) : 0;
    const std::int64_t half_at = row * in.width + column;
    const std::int64_t up_at = half_at + row * in.width;
    const std::int64_t scale_at = up_at >> in.group_shift;
    codes_ = in.codes + up_at;
    d_product_ = in.d_product + half_at;
    scale_of_up_ = in.scales + (scale_at & -2);
    scale_of_gate_ = in.scales + ((scale_at + in.groups_of_half) & -2);
  }

  __device__ int rows_inside() const { return rows_inside_; }

  /// Starts the copy of row r, which follows the last one.
  __device__ void Start(const Inputs<T>& in, int r, TileMemory<T>& memory) {
    const unsigned thread = threadIdx.x;
    if (r < rows_inside_) {
      __pipeline_memcpy_async(&memory.up[r][thread], codes_, kPatch);
      __pipeline_memcpy_async(&memory.gate[r][thread], codes_ + in.width, kPatch);
#pragma unroll
      for (int i = 0; i < Packed<T, kPatch>::kWords; ++i) {
        __pipeline_memcpy_async(&memory.d_product[r][i][thread], reinterpret_cast<const uint4*>(d_product_) + i, 16);
      }
      __pipeline_memcpy_async(&memory.scales_of_up[r][thread], scale_of_up_, 4);
      __pipeline_memcpy_async(&memory.scales_of_gate[r][thread], scale_of_gate_, 4);
    }
    __pipeline_commit();
    codes_ += 2 * in.width;
    d_product_ += in.width;
    scale_of_up_ += 2 * in.groups_of_half;
    scale_of_gate_ += 2 * in.groups_of_half;
  }

 private:
  int rows_inside_;
  const std::uint8_t* codes_;
  const T* d_product_;
  const BFloat16* scale_of_up_;
  const BFloat16* scale_of_gate_;
};

/// All codes, given the largest magnitudes. A block takes tiles of 128 tokens and 64 columns, from the last on; a
/// thread 4 tokens and 8 columns, whose codes it stores along rows and puts into transposed tiles. Reads 4.25 bytes an
/// element of the product (bf16, groups of 16) and writes 5. As soon as a row of a patch is read from shared memory,
/// the same row of the block's next tile is asked for, so that loads are under way all the time.
template <class T, class Saved, class Gradient, class GradientT, class Product>
__global__ void __launch_bounds__(kThreads, kBlocksEach<T>)
    GradientCodesKernel(const Inputs<T> in, int tiles, const float* __restrict__ absmax, const Outputs out) {
  extern __shared__ __align__(16) std::byte dynamic_memory[];
  auto& memory = *reinterpret_cast<TileMemory<T>*>(dynamic_memory);
  const auto tiles_of_row = max(static_cast<int>(DivideUp(in.width, kTileColumns)), 1);
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int patch_row = warp * kWarpRows + lane / kLanesOfRow * kPatchRows;
  const int patch_column = lane % kLanesOfRow * kPatch;
  const auto row_of = [&](int tile) { return std::int64_t{tile / tiles_of_row} * kTileRows; };
  const auto column_of = [&](int tile) { return std::int64_t{tile % tiles_of_row} * kTileColumns; };

  int tile = tiles - 1 - static_cast<int>(blockIdx.x);
  PatchCopies<T> copies(in, row_of(tile) + patch_row, column_of(tile) + patch_column, tile >= 0);
#pragma unroll
  for (int r = 0; r < kPatchRows; ++r) copies.Start(in, r, memory);
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

#pragma unroll 1
  while (tile >= 0) {
    const std::int64_t tile_row = row_of(tile);
    const std::int64_t tile_column = column_of(tile);
    const std::int64_t row = tile_row + patch_row;
    const std::int64_t column = tile_column + patch_column;
    const bool odd_of_up = (column >> in.group_shift) % 2 != 0;
    const bool odd_of_gate = odd_of_up != (in.groups_of_half % 2 != 0);
    const int rows_inside = copies.rows_inside();
    std::uint8_t* target = out.d_up_gate + row * 2 * in.width + column;
    tile -= static_cast<int>(gridDim.x);
    copies = PatchCopies<T>(in, row_of(tile) + patch_row, column_of(tile) + patch_column, tile >= 0);
    Codes<kPatch> d_up[kPatchRows], d_gate[kPatchRows], product[kPatchRows];
#pragma unroll
    for (int r = 0; r < kPatchRows; ++r) {
      WaitForCopies<kPatchRows - 1>();  // what was asked for first is there
      PatchRow<T> inputs = {.up = memory.up[r][threadIdx.x],
                            .gate = memory.gate[r][threadIdx.x],
                            .d_product = {},
                            .scale_of_up = ScaleOfPair(memory.scales_of_up[r][threadIdx.x], odd_of_up),
                            .scale_of_gate = ScaleOfPair(memory.scales_of_gate[r][threadIdx.x], odd_of_gate)};
#pragma unroll
      for (int i = 0; i < Packed<T, kPatch>::kWords; ++i) {
        inputs.d_product.words[i] = memory.d_product[r][i][threadIdx.x];
      }
      const PatchGradients g = GradientsOf<Saved>(inputs);
      copies.Start(in, r, memory);
      d_up[r] = EncodeScaled<Gradient>(g.d_up, reciprocal);
      d_gate[r] = EncodeScaled<Gradient>(g.d_gate, reciprocal);
      product[r] = EncodeScaled<Product>(g.product, reciprocal_of_product);
      if (r < rows_inside) {
        StoreCodes(target, d_up[r]);
        StoreCodes(target + in.width, d_gate[r]);
      }
      target += 2 * in.width;
      if constexpr (!std::is_same_v<Gradient, GradientT>) {
        d_up[r] = EncodeScaled<GradientT>(g.d_up, reciprocal_t);
        d_gate[r] = EncodeScaled<GradientT>(g.d_gate, reciprocal_t);
      }
    }
    __syncthreads();  // the transposed codes of the previous tile have been read
    PutPatch<kPatch>(memory.d_up_t, warp, patch_column, d_up);
    PutPatch<kPatch>(memory.d_gate_t, warp, patch_column, d_gate);
    PutPatch<kPatch>(memory.product_t, warp, patch_column, product);
    __syncthreads();
    const auto store = [&]<bool kVector>() {
      const auto part = [&](const std::uint32_t* codes, std::uint8_t* matrix) {
        StoreTransposed<kPatch, kTileColumns, kThreads, kVector>(codes, tile_row, tile_column, in.rows, in.width,
                                                                 matrix);
      };
      part(memory.d_up_t, out.d_up_gate_t);
      part(memory.d_gate_t, out.d_up_gate_t + in.width * in.rows);
      part(memory.product_t, out.product_t);
    };
    if (in.rows % kPiece == 0) {
      store.template operator()<true>();
    } else {
      store.template operator()<false>();
    }
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
  COAT_REQUIRE(reinterpret_cast<std::uintptr_t>(args.up_gate.scales.data()) % 4 == 0,
               "SwigluQuantizeBackward's scales must begin at a multiple of 4 bytes");
  const Outputs out = {args.d_up_gate.codes.As<std::uint8_t>(), args.d_up_gate_t.codes.As<std::uint8_t>(),
                       args.product_t.codes.As<std::uint8_t>(), args.d_up_gate.scales.As<float>(),
                       args.d_up_gate_t.scales.As<float>(),     args.product_t.scales.As<float>()};
  const auto tiles = static_cast<int>(DivideUp(rows, kTileRows) * DivideUp(width, kTileColumns));
  COAT_CUDA(cudaMemsetAsync(absmax, 0, 2 * sizeof(float), device.stream()));
  VisitPlain(args.d_product.dtype(), [&]<class T>() {
    const Inputs<T> in = {.codes = args.up_gate.codes.As<std::uint8_t>(),
                          .scales = args.up_gate.scales.As<BFloat16>(),
                          .d_product = args.d_product.As<T>(),
                          .group_shift = std::countr_zero(static_cast<unsigned>(args.up_gate.format.group)),
                          .groups_of_half = width / args.up_gate.format.group,
                          .rows = rows,
                          .width = width};
    // One block without tiles writes the scales.
    const auto blocks = static_cast<unsigned>(std::clamp(tiles, 1, kBlocksEach<T> * device.multiprocessors()));
    VisitFp8(args.up_gate.format.dtype, [&]<class Saved>() {
      const std::int64_t runs = rows * width / kRun;
      GradientAbsMaxKernel<T, Saved>
          <<<BlocksForRuns(runs, kThreads, device.multiprocessors()), kThreads, 0, device.stream()>>>(in, runs, absmax);
      COAT_CUDA(cudaGetLastError());
      VisitFp8(args.d_up_gate.format.dtype, [&]<class Gradient>() {
        VisitFp8(args.d_up_gate_t.format.dtype, [&]<class GradientT>() {
          VisitFp8(args.product_t.format.dtype, [&]<class Product>() {
            const auto kernel = &GradientCodesKernel<T, Saved, Gradient, GradientT, Product>;
            COAT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(TileMemory<T>)));
            kernel<<<blocks, kThreads, sizeof(TileMemory<T>), device.stream()>>>(in, tiles, absmax, out);
          });
        });
      });
      COAT_CUDA(cudaGetLastError());
    });
  });
}

}  // namespace coat::cuda
