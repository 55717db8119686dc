// How much FP8 products lose by summing fast, beside what FP8 itself loses: on a GPU, by K.
//
//   build/release/bench/accumulation_error
//
// Operands are 2048 x K, coded per tensor: activations E4M3, gradients E5M2, as forward and the weight's gradient take
// them; "heavy tails" are products of three normal numbers. The exact product of the codes comes from bfloat16 products
// of the decoded codes summed in float32, that of the operands from float32. Errors are root mean squares relative to
// the product's.

#include <fmt/core.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/arena.h"
#include "cuda/open_device.h"
#include "ops/fill.h"
#include "ops/gemm.h"
#include "ops/quantize.h"

namespace coat {
namespace {

constexpr std::int64_t kRows = 2048;

std::vector<float> ToHost(const Context& ctx, ConstTensorView x) {
  std::vector<float> values(static_cast<std::size_t>(x.elements()));
  ctx.Download(x, values.data());
  return values;
}

double RelativeError(const std::vector<float>& x, const std::vector<float>& exact) {
  double error = 0.0;
  double energy = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += std::pow(static_cast<double>(x[i]) - exact[i], 2);
    energy += std::pow(static_cast<double>(exact[i]), 2);
  }
  return std::sqrt(error / energy);
}

class Comparison {
 public:
  void Print(const std::string& what, DType a_format, std::int64_t k, bool heavy_tails) {
    const Arena::Scope scope(arena_);
    const TensorView a = Values(k, heavy_tails);
    const TensorView b = Values(k, heavy_tails);
    const QuantizedView a_codes = Coded(a, a_format);
    const QuantizedView b_codes = Coded(b, DType::kE4M3);
    const std::vector<float> of_codes = Product(exact_, a_codes, b_codes, false);
    const std::vector<float> of_values = Product(exact_, AsPlain(a), AsPlain(b), false);
    fmt::print("{:18} {:>12} {:>7} {:13.5f} {:13.5f} {:13.5f}\n", what, heavy_tails ? "heavy tails" : "normal", k,
               RelativeError(Product(fp8_, a_codes, b_codes, true), of_codes),
               RelativeError(Product(fp8_, a_codes, b_codes, false), of_codes), RelativeError(of_codes, of_values));
  }

 private:
  TensorView Values(std::int64_t k, bool heavy_tails) {
    const TensorView x = arena_.Tensor("x", {kRows, k}, DType::kF32);
    FillNormal(fp8_, {.x = x, .seed = 1, .tensor_id = next_++, .std = 1.0f, .cutoff = 0.0f});
    if (!heavy_tails) return x;
    std::vector<float> values = ToHost(fp8_, x);
    for (float& value : values) value = value * value * value;
    fp8_.Upload(values.data(), x);
    return x;
  }

  QuantizedView Coded(ConstTensorView x, DType format) {
    const QuantizedView codes = arena_.Quantized("codes", x.shape(), Format::PerTensor(format));
    const TensorView absmax = arena_.Tensor("absmax", {1}, DType::kF32);
    AbsMax(fp8_, {.x = x, .absmax = absmax});
    Quantize(fp8_, {.x = x, .absmax = absmax, .y = codes});
    fp8_.Synchronize();
    return codes;
  }

  std::vector<float> Product(Context& ctx, const ConstQuantizedView& a, const ConstQuantizedView& b, bool fast) {
    const Arena::Scope scope(arena_);
    const TensorView d = arena_.Tensor("d", {kRows, kRows}, DType::kF32);
    Gemm(ctx, {.a = a, .b = b, .d = d, .fast_accumulation = fast});
    return ToHost(ctx, d);
  }

  Context fp8_ = Context(cuda::OpenCudaDevice({.gemm = cuda::GemmMode::kFp8}));
  Context exact_ = Context(cuda::OpenCudaDevice({.gemm = cuda::GemmMode::kBf16}));
  Arena arena_ = Arena::Bound("operands", fp8_, std::int64_t{2} << 30);
  std::uint64_t next_ = 0;
};

}  // namespace
}  // namespace coat

int main() {
  const coat::cuda::CudaStatus status = coat::cuda::CheckCudaDevice();
  if (!status.usable) {
    fmt::print(stderr, "accumulation_error: {}\n", status.reason);
    return 1;
  }
  fmt::print("{:18} {:>12} {:>7} {:>13} {:>13} {:>13}\n", "product", "data", "K", "fast sums", "precise sums",
             "FP8 codes");
  coat::Comparison comparison;
  for (const bool heavy_tails : {false, true}) {
    for (const std::int64_t k : {2048, 8192}) comparison.Print("forward", coat::DType::kE4M3, k, heavy_tails);
    for (const std::int64_t k : {2048, 16384}) {
      comparison.Print(k == 2048 ? "input gradient" : "weight gradient", coat::DType::kE5M2, k, heavy_tails);
    }
  }
  return 0;
}
