#pragma once
// Matrix products by cuBLASLt: the algorithm of each is timed once and kept.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/device/device.h"
#include "cuda/gemm/gemm_runner.h"
#include "cuda/gemm/gemm_trials.h"
#include "cuda/gemm/gemm_tuning.h"
#include "ops/gemm.h"

namespace coat::cuda {

/// The products that a device has computed, with the algorithm of each.
///
/// The first time that a product is asked for, algorithms are tried on its operands (GemmTrials); that waits for the
/// device, so it throws Error while work is recorded. Products that were imported are tried only if the library does
/// not take their algorithm.
class GemmPlans {
 public:
  explicit GemmPlans(CudaDevice& device);

  /// d = a b, or d += a b, of operands as the tensor cores take them. `factors`, if not null, are {alpha, beta} in
  /// device memory, beta 1 with `accumulate` and else 0: d = alpha a b + beta d, for plain operands.
  void Multiply(const GemmArgs& args, const float* factors = nullptr);

  /// At least `bytes` of the workspace that Multiply leaves alone for plain operands; aligned to 256 bytes.
  std::byte* Scratch(std::int64_t bytes) { return runner_.Scratch(bytes); }

  /// All products so far, and those that were imported, as JSON.
  std::string Export() const;
  /// Takes the algorithms of products from what Export wrote, but for those that have run already. Returns why it did
  /// not, if they are another device's or another version's; else "". Throws IoError if the text is damaged.
  std::string Import(std::string_view json);
  /// See Device::DescribeTuning.
  std::string Describe() const;

 private:
  /// Runs the product for the first time, with its imported algorithm. False if there is none, or if the library does
  /// not take it: then nothing has run.
  bool RunImported(const GemmArgs& args, const float* factors, const std::string& key);
  GemmPlan Tune(const GemmArgs& args, const float* factors, const std::string& key);

  CudaDevice& device_;
  GemmRunner runner_;
  GemmTrials trials_;
  std::map<std::string, GemmPlan> plans_;
  Tuning tuning_;  // of plans_, and imported
  int imported_ = 0;
  double seconds_ = 0.0;
  std::vector<std::string> refused_;
};

}  // namespace coat::cuda
