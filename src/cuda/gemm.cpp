// Matrix products through cuBLASLt, FP8 operands on FP8 tensor cores or, decoded, on those of bf16; those of one token
// by our own kernel.

#include "ops/gemm.h"

#include <fmt/core.h>

#include "base/divide.h"
#include "base/error.h"
#include "cuda/device/device.h"
#include "cuda/gemm/fp8_tensor_cores.h"
#include "cuda/gemm/gemm_plans.h"
#include "cuda/gemm/gemm_prepare.h"
#include "cuda/gemm/row_product.h"

namespace coat::cuda {

namespace {

/// What FP8 tensor cores do not take is the caller's error: rows and addresses are multiples of 16 bytes, and scales of
/// groups are read four rows at a time.
void RequireFp8Takes(const GemmArgs& args) {
  const GemmShape shape = ShapeOf(args);
  const bool per_tensor = args.a.format.scaling == Scaling::kTensor;
  const bool takes = shape.n % 16 == 0 && shape.k % 16 == 0 && (per_tensor || shape.m % 4 == 0);
  COAT_REQUIRE(takes,
               "Gemm of {} x {} with M {}, N {}, K {}: FP8 tensor cores take N and K that are multiples of 16{}; "
               "--gemm=bf16 takes any",
               args.a.format.ToString(), args.b.format.ToString(), shape.m, shape.n, shape.k,
               per_tensor ? "" : ", and with these scales an M that is a multiple of 4");
  const auto require_aligned = [](std::string_view name, const void* address) {
    COAT_REQUIRE(AlignmentOf(address) >= 16, "Gemm {} starts at {}; FP8 tensor cores take multiples of 16", name,
                 address);
  };
  require_aligned("a", args.a.codes.data());
  require_aligned("b", args.b.codes.data());
  require_aligned("d", args.d.data());
}

/// The product of the operands decoded to bf16. Codes are exact in bf16, so per-tensor scales, which multiply the sum,
/// leave the order of the sum as the only difference from FP8; scales of groups and blocks are multiplied in.
void MultiplyDecoded(CudaDevice& device, const GemmArgs& args) {
  constexpr std::int64_t kAlignment = 256;
  const auto aligned = [](std::int64_t bytes) { return RoundUp(bytes, kAlignment); };
  const std::int64_t a_bytes = aligned(args.a.codes.elements() * SizeOf(DType::kBF16));
  const std::int64_t b_bytes = aligned(args.b.codes.elements() * SizeOf(DType::kBF16));
  GemmPlans& plans = device.Get<GemmPlans>();
  std::byte* scratch = plans.Scratch(kAlignment + a_bytes + b_bytes);
  auto* factors = reinterpret_cast<float*>(scratch);
  const TensorView a = {scratch + kAlignment, args.a.shape(), DType::kBF16, DeviceKind::kCuda};
  const TensorView b = {scratch + kAlignment + a_bytes, args.b.shape(), DType::kBF16, DeviceKind::kCuda};
  const bool per_tensor = args.a.format.scaling == Scaling::kTensor;
  WriteFactors(device.stream(), per_tensor ? args.a.scales.As<float>() : nullptr,
               per_tensor ? args.b.scales.As<float>() : nullptr, args.accumulate ? 1.0f : 0.0f, factors);
  DecodeToBFloat16(device.stream(), args.a, a.As<BFloat16>());
  DecodeToBFloat16(device.stream(), args.b, b.As<BFloat16>());
  plans.Multiply({.a = AsPlain(a), .b = AsPlain(b), .d = args.d, .layout = args.layout, .accumulate = args.accumulate},
                 factors);
}

}  // namespace

void Gemm(Context& ctx, const GemmArgs& args) {
  if (args.d.elements() == 0) return;
  CudaDevice& device = DeviceOf(ctx);
  if (args.a.format.scaling != Scaling::kNone) {
    if (!MultipliesFp8(device, args.a.format.scaling)) return MultiplyDecoded(device, args);
    RequireFp8Takes(args);
  }
  if (TakesRowProduct(args)) return RowProduct(device, args);
  device.Get<GemmPlans>().Multiply(args);
}

bool MultipliesFp8(const Device& device, Scaling scaling) {
  const auto& cuda_device = static_cast<const CudaDevice&>(device);
  const GemmMode gemm = cuda_device.options().gemm;
  const int capability = cuda_device.compute_capability();
  if (gemm == GemmMode::kBf16) return false;
  if (HasFp8TensorCores(capability, scaling)) return true;
  if (gemm == GemmMode::kAuto) return false;
  throw Error(fmt::format(
      "--gemm=fp8: {} (compute capability {}.{}) has no FP8 tensor cores for {}; accepted there: "
      "--gemm=auto, --gemm=bf16",
      device.Name(), capability / 10, capability % 10,
      scaling == Scaling::kTensor ? "operands with one scale" : "scales of groups and blocks (fp8deepseek)"));
}

}  // namespace coat::cuda
