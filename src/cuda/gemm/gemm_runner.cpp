#include "cuda/gemm/gemm_runner.h"

#include <fmt/core.h>

#include <array>

#include "base/error.h"
#include "base/number_text.h"
#include "cuda/device/device.h"
#include "cuda/gemm/gemm_tuning.h"

namespace coat::cuda {

namespace {

constexpr std::int64_t kAlgorithmBytes = 32 << 20;  // of the workspace, for cuBLASLt
constexpr std::int64_t kTrialBytes = 256;           // behind them
constexpr std::int64_t kBytesToLoad = 64 << 20;     // free memory with which its kernels can be loaded
constexpr int kMostAlgorithms = 24;                 // of a scale mode

}  // namespace

GemmPlan GemmRunner::MakePlan(const GemmArgs& args, bool device_factors, ScaleMode mode) const {
  const GemmShape shape = ShapeOf(args);
  GemmPlan plan;
  plan.mode = mode;
  plan.product = MakeMatmulDescription();
  const bool first_transposed = args.layout == GemmLayout::kNT;
  const bool second_transposed = args.layout == GemmLayout::kTN;
  SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, first_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, second_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (device_factors) {
    SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_POINTER_MODE,
                 static_cast<std::int32_t>(CUBLASLT_POINTER_MODE_DEVICE));
  }
  if (mode != ScaleMode::kNone) {
    const bool fast = mode != ScaleMode::kBlocks && args.fast_accumulation;
    SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_FAST_ACCUM, static_cast<std::int8_t>(fast));
    SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, LibraryScaleMode(mode, args.b.format));
    SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, LibraryScaleMode(mode, args.a.format));
  }
  // A row-major matrix is its transpose in column-major order: rows and columns change places.
  const Shape a = args.a.shape();
  const Shape b = args.b.shape();
  plan.first = MakeMatrixLayout(args.b.format.dtype, b[1], b[0]);
  plan.second = MakeMatrixLayout(args.a.format.dtype, a[1], a[0]);
  plan.result = MakeMatrixLayout(args.d.dtype(), shape.n, shape.m);
  return plan;
}

std::vector<cublasLtMatmulAlgo_t> GemmRunner::AlgorithmsFor(const GemmArgs& args, const GemmPlan& plan) {
  if (plan.mode != ScaleMode::kNone) {
    SetScales(plan, PlaceScales(args, plan.mode, Scratch(ScaleBytes(args, plan.mode))));
  }
  const MatmulPreference limits = MakeMatmulPreference();
  const auto alignment = [](const void* address) { return static_cast<std::uint32_t>(AlignmentOf(address)); };
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(kAlgorithmBytes));
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(args.b.codes.data()));
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(args.a.codes.data()));
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(args.d.data()));
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(args.d.data()));
  if (args.d.dtype() == DType::kBF16) {
    // Parts of a sum over K are not rounded to d's type before they are added.
    SetAttribute(limits, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                 static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  }
  std::array<cublasLtMatmulHeuristicResult_t, kMostAlgorithms> results = {};
  int count = 0;
  const cublasStatus_t status = LoadCublasLt().MatmulAlgoGetHeuristic(
      handle_.get(), plan.product.get(), plan.first.get(), plan.second.get(), plan.result.get(), plan.result.get(),
      limits.get(), kMostAlgorithms, results.data(), &count);
  std::vector<cublasLtMatmulAlgo_t> algorithms;
  if (status != CUBLAS_STATUS_SUCCESS) return algorithms;  // it has none
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulHeuristicResult_t& result = results[static_cast<std::size_t>(i)];
    if (result.state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(result.algo);
  }
  return algorithms;
}

cublasStatus_t GemmRunner::Run(const GemmArgs& args, const float* factors, const GemmPlan& plan) {
  if (plan.mode != ScaleMode::kNone) {
    const Scales scales = PlaceScales(args, plan.mode, Scratch(ScaleBytes(args, plan.mode)));
    FillScales(device_.stream(), args, plan.mode, scales);
    SetScales(plan, scales);
  }
  const float own[] = {1.0f, args.accumulate ? 1.0f : 0.0f};
  return Launch(args, factors != nullptr ? factors : own, plan);
}

cublasStatus_t GemmRunner::Try(const GemmArgs& args, const float* factors, const GemmPlan& plan) {
  return Tried(Run(args, factors, plan));
}

cublasStatus_t GemmRunner::Subtract(const GemmArgs& args, const float* factors, const GemmPlan& plan) {
  float own[] = {-1.0f, 1.0f};
  if (factors == nullptr) return Tried(Launch(args, own, plan));
  device_.Download(factors, own, sizeof(float));
  own[0] = -own[0];
  device_.Upload(own, TrialBytes(), sizeof(own));
  return Tried(Launch(args, reinterpret_cast<const float*>(TrialBytes()), plan));
}

cublasStatus_t GemmRunner::Tried(cublasStatus_t status) const {
  if (status == CUBLAS_STATUS_SUCCESS) return status;
  cudaGetLastError();  // the error is handled
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
      status == CUBLAS_STATUS_ARCH_MISMATCH) {
    return status;
  }
  const Device::Memory memory = device_.ReadMemory();
  if (status != CUBLAS_STATUS_ALLOC_FAILED && memory.free_bytes >= kBytesToLoad) return status;
  throw Error(fmt::format(
      "CUDA: out of memory: {} of {} are free, too little for cuBLASLt's kernels ({}); a smaller "
      "device_train_microbatch_size or activation_checkpointing: whole_layer makes room for them",
      InBinaryUnits(memory.free_bytes), InBinaryUnits(memory.total_bytes), LoadCublasLt().GetStatusString(status)));
}

std::byte* GemmRunner::Scratch(std::int64_t bytes) {
  constexpr std::int64_t kBefore = kAlgorithmBytes + kTrialBytes;
  return device_.GrowWorkspace(kBefore + bytes) + kBefore;
}

std::byte* GemmRunner::TrialBytes() const {
  return device_.workspace() + kAlgorithmBytes;
}

void GemmRunner::SetScales(const GemmPlan& plan, const Scales& scales) const {
  // The library's A is our b.
  SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scales.b);
  SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scales.a);
}

cublasStatus_t GemmRunner::Launch(const GemmArgs& args, const float* factors, const GemmPlan& plan) {
  return LoadCublasLt().Matmul(handle_.get(), plan.product.get(), factors, args.b.codes.data(), plan.first.get(),
                               args.a.codes.data(), plan.second.get(), factors + 1, args.d.data(), plan.result.get(),
                               args.d.data(), plan.result.get(), &plan.algorithm, device_.workspace(),
                               static_cast<std::size_t>(kAlgorithmBytes), device_.stream());
}

}  // namespace coat::cuda
