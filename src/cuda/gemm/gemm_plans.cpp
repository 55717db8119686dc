#include "cuda/gemm/gemm_plans.h"

#include <fmt/core.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

namespace coat::cuda {

namespace {

ProductKey KeyOf(const GemmArgs& args, bool device_factors) {
  const bool per_tensor = args.a.format.scaling == Scaling::kTensor;
  return {
      .shape = ShapeOf(args),
      .a = args.a.format,
      .b = args.b.format,
      .d = args.d.dtype(),
      .layout = args.layout,
      .accumulate = args.accumulate,
      .fast_accumulation = per_tensor && args.fast_accumulation,
      .device_factors = device_factors,
      .alignments = {AlignmentOf(args.a.codes.data()), AlignmentOf(args.b.codes.data()), AlignmentOf(args.d.data())}};
}

}  // namespace

GemmPlans::GemmPlans(CudaDevice& device) : device_(device), runner_(device), trials_(device, runner_) {
  tuning_.device = fmt::format("{}, {} multiprocessors", device.Name(), device.multiprocessors());
  tuning_.library = LoadCublasLt().GetVersion();
}

void GemmPlans::Multiply(const GemmArgs& args, const float* factors) {
  const std::string key = KeyOf(args, factors != nullptr).ToString();
  auto found = plans_.find(key);
  if (found == plans_.end()) {
    if (RunImported(args, factors, key)) return;
    found = plans_.emplace(key, Tune(args, factors, key)).first;
  }
  const cublasStatus_t status = runner_.Run(args, factors, found->second);
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw Error(fmt::format("cuBLASLt: {} in the product {}", LoadCublasLt().GetStatusString(status), key));
  }
}

std::string GemmPlans::Export() const {
  return ToJson(tuning_);
}

std::string GemmPlans::Import(std::string_view json) {
  Tuning imported = TuningFromJson(json);
  if (imported.device != tuning_.device) {
    return fmt::format("they are of {}, and this is {}", imported.device, tuning_.device);
  }
  if (imported.library != tuning_.library) {
    return fmt::format("they are of cuBLASLt {}, and this is {}", imported.library, tuning_.library);
  }
  tuning_.products.merge(imported.products);
  return "";
}

std::string GemmPlans::Describe() const {
  TuningReport report = {.products = {}, .imported = imported_, .seconds = seconds_, .refused = refused_};
  for (const auto& [key, plan] : plans_) report.products.emplace(key, tuning_.products.at(key));
  return coat::cuda::Describe(report);
}

bool GemmPlans::RunImported(const GemmArgs& args, const float* factors, const std::string& key) {
  const auto imported = tuning_.products.find(key);
  if (imported == tuning_.products.end()) return false;
  const TunedProduct& tuned = imported->second;
  const ScaleMode mode =
      tuned.scales_by_row ? ScaleMode::kRows : ScaleModesOf(args, device_.compute_capability()).front();
  GemmPlan plan = runner_.MakePlan(args, factors != nullptr, mode);
  static_assert(sizeof(plan.algorithm) == sizeof(tuned.algorithm));
  std::memcpy(&plan.algorithm, tuned.algorithm.data(), sizeof(plan.algorithm));
  // The run is the test: cublasLtMatmulAlgoCheck refuses scales of blocks whose pointers are not set.
  const cublasStatus_t status = runner_.Try(args, factors, plan);
  if (status != CUBLAS_STATUS_SUCCESS) {
    refused_.push_back(fmt::format("{}: {}", key, LoadCublasLt().GetStatusString(status)));
    return false;
  }
  plans_.emplace(key, std::move(plan));
  ++imported_;
  return true;
}

GemmPlan GemmPlans::Tune(const GemmArgs& args, const float* factors, const std::string& key) {
  if (device_.recording()) {
    throw Error(fmt::format("the product {} is recorded before it has run once: its algorithms cannot be timed", key));
  }
  const auto begin = std::chrono::steady_clock::now();
  std::optional<GemmTrials::Winner> winner = trials_.Hold(args, factors);
  if (!winner) {
    throw Error(
        fmt::format("cuBLASLt {} has no algorithm on {} for the product {} (M x N x K, formats, layout, "
                    "alignments); --gemm=bf16 may have one",
                    tuning_.library, tuning_.device, key));
  }
  tuning_.products[key] = winner->tuned;
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return std::move(winner->plan);
}

}  // namespace coat::cuda
