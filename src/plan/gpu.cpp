#include "plan/gpu.h"

#include <fmt/core.h>

#include <string>

#include "base/error.h"

namespace coat {

namespace {

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;
constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

// Rates: NVIDIA's data sheets of the A100 80GB SXM, H100 SXM and H200 SXM, without sparsity; NVLink and PCIe are given
// there for both directions together. Network: the data sheets of DGX A100 (eight cards of 200 Gb/s for compute) and of
// DGX H100 and H200 (eight of 400 Gb/s). Memory: what drivers report, measured on the H200, for the others as messages
// of PyTorch on such GPUs have it.
constexpr std::array<Gpu, 3> kGpus = {{
    {.word = "a100",
     .name = "NVIDIA A100 80GB SXM",
     .memory = 79.2 * kGiB,
     .memory_bytes = 2.039 * kTera,
     .bf16_flops = 312 * kTera,
     .fp8_flops = 0,
     .nvlink_bytes = 300 * kGiga,
     .pcie_bytes = 32 * kGiga,
     .network_bytes = 25 * kGiga,
     .network = "ib200"},
    {.word = "h100",
     .name = "NVIDIA H100 80GB SXM",
     .memory = 79.1 * kGiB,
     .memory_bytes = 3.35 * kTera,
     .bf16_flops = 989.5 * kTera,
     .fp8_flops = 1979 * kTera,
     .nvlink_bytes = 450 * kGiga,
     .pcie_bytes = 64 * kGiga,
     .network_bytes = 50 * kGiga,
     .network = "ib400"},
    {.word = "h200",
     .name = "NVIDIA H200 SXM",
     .memory = 139.8 * kGiB,
     .memory_bytes = 4.8 * kTera,
     .bf16_flops = 989.5 * kTera,
     .fp8_flops = 1979 * kTera,
     .nvlink_bytes = 450 * kGiga,
     .pcie_bytes = 64 * kGiga,
     .network_bytes = 50 * kGiga,
     .network = "ib400",
     .is_measured = true},
}};

// Measured on the H200 (docs/performance.md), in TFLOP/s: of the table of products the means over a block's products,
// weighted by the time they take. "precise" forward and input gradient and "fast" weight gradient are measured too,
// though the default is the other. Blocks' input gradient was not measured: as forward.
constexpr Rates::OfProducts kFast = {1381, 1356, 1407};
constexpr Rates::OfProducts kPrecise = {1235, 1250, 1333};
constexpr Rates::OfProducts kBlocks = {1066, 1066, 922};
constexpr Rates::OfProducts kPlain = {718, 689, 729};
// 15.3 ms for head and loss of 16,384 tokens by 50,304 rows, less 0.75 ms of CrossEntropy.
constexpr double kHead = 696;
// 8 sequences of 2048, 16 heads of 128: 258 and 978 microseconds (backward in two parts, as when the steps were
// measured), within documents 1246 and 5512.
constexpr double kAttentionForward = 533;
constexpr double kAttentionBackward = 351;
constexpr double kDocumentsForward = 110;
constexpr double kDocumentsBackward = 62.3;
constexpr double kCopy = 4.24;  // TB/s
// Kernels one by one add up to this share of a step: the clock falls at the power limit, and there is time between
// kernels. Chosen so that OLMo-1B with COAT on both at four micro-batches a step takes what it took on the mean of two
// GPUs; no other number is fitted to a step.
constexpr double kSustained = 0.93;

Rates::OfProducts Scaled(const Rates::OfProducts& measured, double share) {
  Rates::OfProducts rates = {};
  for (std::size_t role = 0; role < kProductRoles; ++role) rates[role] = measured[role] * kTera * share;
  return rates;
}

}  // namespace

const Gpu& FindGpu(std::string_view word) {
  std::string words;
  for (const Gpu& gpu : kGpus) {
    if (gpu.word == word) return gpu;
    words += fmt::format("{}{}", words.empty() ? "" : ", ", gpu.word);
  }
  throw UsageError(fmt::format("--gpu is {}; accepted: {}", word, words));
}

Rates RatesOf(const Gpu& gpu) {
  const Gpu& h200 = FindGpu("h200");
  const double of_bf16 = gpu.bf16_flops / h200.bf16_flops;
  const double of_fp8 = gpu.fp8_flops / h200.fp8_flops;
  Rates rates;
  rates.has_fp8 = gpu.fp8_flops > 0.0;
  rates.plain = Scaled(kPlain, of_bf16);
  rates.fast = rates.has_fp8 ? Scaled(kFast, of_fp8) : rates.plain;
  rates.precise = rates.has_fp8 ? Scaled(kPrecise, of_fp8) : rates.plain;
  rates.blocks = rates.has_fp8 ? Scaled(kBlocks, of_fp8) : rates.plain;
  rates.head = kHead * kTera * of_bf16;
  rates.attention_forward = kAttentionForward * kTera * of_bf16;
  rates.attention_backward = kAttentionBackward * kTera * of_bf16;
  rates.documents_forward = kDocumentsForward * kTera * of_bf16;
  rates.documents_backward = kDocumentsBackward * kTera * of_bf16;
  rates.copy = kCopy * kTera * gpu.memory_bytes / h200.memory_bytes;
  rates.sustained = kSustained;
  return rates;
}

}  // namespace coat
