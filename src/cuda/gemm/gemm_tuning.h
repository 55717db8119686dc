#pragma once
// What is known of matrix products once their algorithms have been timed: which is taken, and as text.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/gemm.h"

namespace coat::cuda {

/// All that the choice of an algorithm may depend on.
struct ProductKey {
  GemmShape shape;
  Format a, b;
  DType d = DType::kF32;
  GemmLayout layout = GemmLayout::kNT;
  bool accumulate = false;
  bool fast_accumulation = false;
  bool device_factors = false;         // alpha and beta are read from device memory
  std::array<int, 3> alignments = {};  // of a, b and d, in bytes; see AlignmentOf

  /// "16384x6144x2048 e4m3/t e4m3/t bf16 NT fast 256,256,256".
  std::string ToString() const;
};

/// The alignment that a key tells apart: 256 or 16 bytes or, below that, a power of two.
int AlignmentOf(const void* address);

/// One algorithm as timed on the operands of a product.
struct TimedAlgorithm {
  double milliseconds = 0.0;
  std::uint64_t bits = 0;  // a hash of the result's bytes
};

struct Choice {
  std::size_t taken = 0;
  std::size_t reference = 0;  // the fastest of those with the bits of the first
};

/// Which of several algorithms to take; the first is the library's own first answer.
///
/// Times vary from run to run, results should not: so the choice stays among the algorithms whose result has the same
/// bits as the first's, unless `other_bits` are allowed and another is faster than all of them by more than 3 % and 5
/// microseconds. `timed` is not empty.
Choice Choose(std::span<const TimedAlgorithm> timed, bool other_bits);

/// The algorithm of one product, and what it was chosen by.
struct TunedProduct {
  std::array<std::uint64_t, 8> algorithm = {};  // cublasLtMatmulAlgo_t
  bool scales_by_row = false;                   // per-tensor scales are given as one scale a row
  double milliseconds = 0.0;
  double reference_milliseconds = 0.0;  // of the fastest with the bits of the library's first answer
  int algorithms = 0;                   // that were timed

  bool operator==(const TunedProduct&) const = default;
};

/// The algorithms of a device and a version of the library, by ProductKey::ToString.
struct Tuning {
  std::string device;
  std::uint64_t library = 0;
  std::map<std::string, TunedProduct> products;

  bool operator==(const Tuning&) const = default;
};

/// What a device has done for the choice of algorithms so far.
struct TuningReport {
  std::map<std::string, TunedProduct> products;  // that have run, by ProductKey::ToString
  int imported = 0;                              // of them; the others were timed
  double seconds = 0.0;                          // that timing took
  std::vector<std::string> refused;              // imported but not taken by the library: "product: why"
};

/// In a line for people: "12 matrix products: 10 timed in 2.4 s, 2 imported; ...". Empty without products.
std::string Describe(const TuningReport& report);

std::string ToJson(const Tuning& tuning);
/// Throws IoError when `text` is not what ToJson writes.
Tuning TuningFromJson(std::string_view text);

}  // namespace coat::cuda
