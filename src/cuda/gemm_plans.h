#pragma once
// Matrix products by cuBLASLt: the algorithm of each is timed once and kept.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/cublaslt.h"
#include "cuda/device.h"
#include "cuda/gemm_scales.h"
#include "cuda/gemm_tuning.h"
#include "ops/gemm.h"

namespace coat::cuda {

/// The products that a device has computed, with the algorithm of each.
///
/// The first time that a product is asked for, up to 24 algorithms a scale mode run on its operands, are compared bit
/// by bit and timed (Choose); that waits for the device, so it throws Error while work is recorded. Products that were
/// imported are timed only if the library does not take their algorithm. The workspace holds, from its start: what
/// cuBLASLt uses (kAlgorithmBytes), and what the op prepares (Scratch).
class GemmPlans {
 public:
  explicit GemmPlans(CudaDevice& device);

  /// d = a b, or d += a b, of operands as the tensor cores take them. `factors`, if not null, are {alpha, beta} in
  /// device memory, beta 1 with `accumulate` and else 0: d = alpha a b + beta d, for plain operands.
  void Multiply(const GemmArgs& args, const float* factors = nullptr);

  /// At least `bytes` of the workspace that Multiply leaves alone for plain operands; aligned to 256 bytes.
  std::byte* Scratch(std::int64_t bytes);

  /// All products so far, and those that were imported, as JSON.
  std::string Export() const;
  /// Takes the algorithms of products from what Export wrote, but for those that have run already. Returns why it did
  /// not, if they are another device's or another version's; else "". Throws IoError if the text is damaged.
  std::string Import(std::string_view json);
  /// See Device::DescribeTuning.
  std::string Describe() const;

 private:
  /// A product as cuBLASLt is asked for it. It thinks in columns, so its first operand is our b, its second our a.
  struct Plan {
    ScaleMode mode = ScaleMode::kNone;
    MatmulDescription product;
    MatrixLayout first, second, result;
    cublasLtMatmulAlgo_t algorithm = {};
  };

  /// An algorithm on trial: `plan` is its place in the list of plans, one a scale mode.
  struct Candidate {
    std::size_t plan = 0;
    cublasLtMatmulAlgo_t algorithm = {};
    TimedAlgorithm timed;
  };

  Plan MakePlan(const GemmArgs& args, bool device_factors, ScaleMode mode) const;
  /// Runs the product for the first time, with its imported algorithm. False if there is none, or if the library does
  /// not take it: then nothing has run.
  bool RunImported(const GemmArgs& args, const float* factors, const std::string& key);
  Plan Tune(const GemmArgs& to_run, const float* factors, const std::string& key);
  void AppendAlgorithms(const GemmArgs& args, const Plan& plan, std::size_t index, std::vector<Candidate>& candidates);
  /// Runs each once and again; keeps those that run and repeat themselves.
  std::vector<Candidate> Try(const GemmArgs& args, const float* factors, std::vector<Plan>& plans,
                             const std::vector<Candidate>& candidates);
  void Time(const GemmArgs& args, const float* factors, std::vector<Plan>& plans, std::vector<Candidate>& candidates);
  void Repeat(const GemmArgs& args, const float* factors, std::vector<Plan>& plans, const Candidate& candidate,
              int runs);

  void SetScales(const Plan& plan, const Scales& scales) const;
  cublasStatus_t Run(const GemmArgs& args, const float* factors, const Plan& plan);
  /// d -= a b, after Run.
  cublasStatus_t SubtractProduct(const GemmArgs& args, const float* factors, const Plan& plan);
  /// d = factors[0] a b + factors[1] d, with scales as they are set.
  cublasStatus_t Launch(const GemmArgs& args, const float* factors, const Plan& plan);

  /// A little of the workspace for trials.
  std::byte* TrialBytes() const;
  std::uint64_t HashOf(const TensorView& d);
  /// Of the terms that a sum of the product adds up, how many are not zero on average, as far as the operands' shares
  /// of zeros tell.
  double TermsOfSums(const GemmArgs& args);

  CudaDevice& device_;
  CublasLtHandle handle_;
  std::map<std::string, Plan> plans_;
  Tuning tuning_;  // of plans_, and imported
  int imported_ = 0;
  double seconds_ = 0.0;
  bool warm_ = false;  // the GPU has been at work before products were timed
  std::vector<std::string> refused_;
};

}  // namespace coat::cuda
