#pragma once
// One matrix product as cuBLASLt is asked for it, and how it runs.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/gemm/cublaslt.h"
#include "cuda/gemm/gemm_scales.h"
#include "ops/gemm.h"

namespace coat::cuda {

class CudaDevice;

/// A product in the library's terms. It thinks in columns, so its first operand is our b, its second our a.
struct GemmPlan {
  ScaleMode mode = ScaleMode::kNone;
  MatmulDescription product;
  MatrixLayout first, second, result;
  cublasLtMatmulAlgo_t algorithm = {};
};

/// Runs products by their plans. `factors`, if not null, are {alpha, beta} in device memory, beta 1 with `accumulate`
/// and else 0: d = alpha a b + beta d, for plain operands.
///
/// The workspace holds, from its start: what cuBLASLt uses, a little for trials (TrialBytes), and what the op prepares
/// (Scratch).
class GemmRunner {
 public:
  explicit GemmRunner(CudaDevice& device) : device_(device), handle_(MakeCublasLtHandle()) {}

  /// The plan of a product whose operands are scaled in `mode`, without an algorithm.
  GemmPlan MakePlan(const GemmArgs& args, bool device_factors, ScaleMode mode) const;
  /// Up to 24 algorithms that the library proposes for a plan, its first choice first; none if it has none.
  std::vector<cublasLtMatmulAlgo_t> AlgorithmsFor(const GemmArgs& args, const GemmPlan& plan);

  /// d = a b, or d += a b.
  cublasStatus_t Run(const GemmArgs& args, const float* factors, const GemmPlan& plan);
  /// Run, with an algorithm that the library may refuse: then nothing has run. Throws as Tried.
  cublasStatus_t Try(const GemmArgs& args, const float* factors, const GemmPlan& plan);
  /// d -= a b, after Run, with an algorithm that the library may refuse. Throws as Tried.
  cublasStatus_t Subtract(const GemmArgs& args, const float* factors, const GemmPlan& plan);

  /// At least `bytes` of the workspace that Run leaves alone for plain operands; aligned to 256 bytes.
  std::byte* Scratch(std::int64_t bytes);
  /// 256 bytes of the workspace.
  std::byte* TrialBytes() const;

 private:
  void SetScales(const GemmPlan& plan, const Scales& scales) const;
  /// `status`, of an algorithm on trial. Throws Error where it failed for want of memory, which says nothing of the
  /// algorithm.
  cublasStatus_t Tried(cublasStatus_t status) const;
  /// d = factors[0] a b + factors[1] d, with scales as they are set.
  cublasStatus_t Launch(const GemmArgs& args, const float* factors, const GemmPlan& plan);

  CudaDevice& device_;
  CublasLtHandle handle_;
};

}  // namespace coat::cuda
