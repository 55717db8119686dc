#pragma once
// The scales of FP8 operands as cuBLASLt wants them.

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/gemm.h"

namespace coat::cuda {

/// How the operands of a product are scaled, in cuBLASLt's terms.
enum class ScaleMode : std::uint8_t {
  kNone,    // f32 and bf16
  kTensor,  // one scale an operand
  kRows,    // one scale a row of each operand: per-tensor scales, spread. Has the fastest kernels of Hopper
  kBlocks,  // one scale for 1 x 128 or 128 x 128
};

/// The modes in which a product can be asked for, the first by preference.
std::vector<ScaleMode> ScaleModesOf(const GemmArgs& args, int compute_capability);

/// The library's name for the scales of one operand in a mode other than kNone.
std::int32_t LibraryScaleMode(ScaleMode mode, const Format& format);

/// Where the scales of a and b are when the product reads them: in the operands or in scratch memory.
struct Scales {
  const float* a = nullptr;
  const float* b = nullptr;
};

/// Bytes of scratch memory that PlaceScales divides.
std::int64_t ScaleBytes(const GemmArgs& args, ScaleMode mode);
/// `scratch` is aligned to 256 bytes.
Scales PlaceScales(const GemmArgs& args, ScaleMode mode, std::byte* scratch);
/// Writes those that are not in the operands.
///
/// 1 x 128: [K / 128, rows], the rows contiguous. 128 x 128: [rows / 128, K / 128], K contiguous and padded to a
/// multiple of 4. Ours are [rows, K / 128] and [rows / 128, K / 128].
void FillScales(cudaStream_t stream, const GemmArgs& args, ScaleMode mode, const Scales& scales);

}  // namespace coat::cuda
