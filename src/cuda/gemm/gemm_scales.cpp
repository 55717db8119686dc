#include "cuda/gemm/gemm_scales.h"

#include "base/divide.h"
#include "cuda/gemm/gemm_prepare.h"

namespace coat::cuda {

namespace {

constexpr std::int64_t kRun = 128;
constexpr std::int64_t kAlignment = 256;  // of a's scales behind b's; the library asks for 16

bool IsAligned16(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
}

/// Scales along K of a row of blocks, padded.
std::int64_t PaddedRuns(const GemmShape& shape) {
  return RoundUp(shape.k / kRun, 4);
}

/// Bytes for `count` scales.
std::int64_t BytesOf(std::int64_t count) {
  return RoundUp(count * static_cast<std::int64_t>(sizeof(float)), kAlignment);
}

struct Room {
  std::int64_t a, b;  // scales
};

Room RoomFor(const GemmArgs& args, ScaleMode mode) {
  const GemmShape shape = ShapeOf(args);
  const std::int64_t runs = shape.k / kRun;
  switch (mode) {
    case ScaleMode::kNone:
      break;
    case ScaleMode::kTensor:
      return {1, 1};
    case ScaleMode::kRows:
      return {shape.m, shape.n};
    case ScaleMode::kBlocks:
      if (args.b.format.scaling == Scaling::kGroup) return {shape.m * runs, shape.n * runs};
      return {shape.m * runs, shape.n / kRun * PaddedRuns(shape)};
  }
  return {0, 0};
}

}  // namespace

std::vector<ScaleMode> ScaleModesOf(const GemmArgs& args, int compute_capability) {
  switch (args.a.format.scaling) {
    case Scaling::kNone:
      return {ScaleMode::kNone};
    case Scaling::kTensor:
      if (compute_capability == 90) return {ScaleMode::kTensor, ScaleMode::kRows};
      return {ScaleMode::kTensor};
    case Scaling::kGroup:
    case Scaling::kBlock128:
      break;
  }
  return {ScaleMode::kBlocks};
}

std::int32_t LibraryScaleMode(ScaleMode mode, const Format& format) {
  if (mode == ScaleMode::kRows) return CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
  if (mode == ScaleMode::kTensor) return CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
  return format.scaling == Scaling::kBlock128 ? CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F
                                              : CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F;
}

std::int64_t ScaleBytes(const GemmArgs& args, ScaleMode mode) {
  const Room room = RoomFor(args, mode);
  return BytesOf(room.a) + BytesOf(room.b);
}

Scales PlaceScales(const GemmArgs& args, ScaleMode mode, std::byte* scratch) {
  const auto* a = args.a.scales.As<float>();
  const auto* b = args.b.scales.As<float>();
  if (mode == ScaleMode::kTensor && IsAligned16(a) && IsAligned16(b)) return {a, b};
  Scales scales = {.a = reinterpret_cast<const float*>(scratch + BytesOf(RoomFor(args, mode).b)),
                   .b = reinterpret_cast<const float*>(scratch)};
  const GemmShape shape = ShapeOf(args);
  const bool padded_already = PaddedRuns(shape) == shape.k / kRun && IsAligned16(b);
  if (args.b.format.scaling == Scaling::kBlock128 && padded_already) scales.b = b;
  return scales;
}

void FillScales(cudaStream_t stream, const GemmArgs& args, ScaleMode mode, const Scales& scales) {
  const GemmShape shape = ShapeOf(args);
  const std::int64_t runs = shape.k / kRun;
  const auto* a = args.a.scales.As<float>();
  const auto* b = args.b.scales.As<float>();
  auto* to_a = const_cast<float*>(scales.a);
  auto* to_b = const_cast<float*>(scales.b);
  switch (mode) {
    case ScaleMode::kNone:
      return;
    case ScaleMode::kTensor:
      if (to_a != a) CopyScales(stream, a, b, to_a, to_b);
      return;
    case ScaleMode::kRows:
      return SpreadScales(stream, a, b, to_a, shape.m, to_b, shape.n);
    case ScaleMode::kBlocks:
      break;
  }
  TransposeScales(stream, a, shape.m, runs, to_a);
  if (args.b.format.scaling == Scaling::kGroup) {
    TransposeScales(stream, b, shape.n, runs, to_b);
  } else if (to_b != b) {
    PadScales(stream, b, shape.n / kRun, runs, PaddedRuns(shape), to_b);
  }
}

}  // namespace coat::cuda
