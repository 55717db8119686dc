#pragma once

#include <array>
#include <string_view>

namespace coat {

/// A GPU as its maker describes it. Rates are of one direction, a second.
struct Gpu {
  std::string_view word;       // as the command line says it
  std::string_view name;       // the form that is meant: the one with NVLink
  double memory = 0.0;         // bytes that its driver reports
  double memory_bytes = 0.0;   // read or written, at most
  double bf16_flops = 0.0;     // dense products, at most
  double fp8_flops = 0.0;      // the same; 0: it has none
  double nvlink_bytes = 0.0;   // to the other GPUs of a node
  double pcie_bytes = 0.0;     // of its PCIe slot
  double network_bytes = 0.0;  // of its network card in the maker's own systems
  std::string_view network;    // which card that is, as the command line says it
  bool is_measured = false;    // whether docs/performance.md was measured on it
};

/// The GPU of this word. Throws UsageError with the words that are accepted.
const Gpu& FindGpu(std::string_view word);

/// What a product is for.
enum class ProductRole { kForward, kInputGradient, kWeightGradient };
inline constexpr std::size_t kProductRoles = 3;

/// What the kernels of a training step reach on a GPU, operations or bytes a second.
///
/// Shares of the maker's figures, measured on one H200 (docs/performance.md) and taken for the others as they are. For
/// a GPU without FP8 products all rates of products are those of bf16.
struct Rates {
  using OfProducts = std::array<double, kProductRoles>;  // by ProductRole
  OfProducts fast = {};                                  // FP8, fast sums
  OfProducts precise = {};                               // FP8, precise sums
  OfProducts blocks = {};                                // FP8 with scales of 1 x 128 and 128 x 128
  OfProducts plain = {};                                 // bf16
  double head = 0.0;                                     // bf16, the head's three
  double attention_forward = 0.0;                        // causal, counted without what the mask removes
  double attention_backward = 0.0;
  double documents_forward = 0.0;  // within documents, each sequence one document
  double documents_backward = 0.0;
  double copy = 0.0;       // bytes read and written by a copy: kernels have shares of it
  double sustained = 1.0;  // share of a step that its kernels would take one by one
  bool has_fp8 = true;
};

Rates RatesOf(const Gpu& gpu);

}  // namespace coat
