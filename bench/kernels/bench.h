#pragma once
// What the benchmarks of kernels share: sizes, operands and the clock.

#include <cstdint>
#include <functional>
#include <string>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "cuda/open_device.h"

namespace coat::bench {

// OLMo-1B with 8 sequences of 2048 tokens.
constexpr std::int64_t kTokens = 16384;  // N
constexpr std::int64_t kLength = 2048;   // T
constexpr std::int64_t kModel = 2048;    // D
constexpr std::int64_t kHidden = 8192;   // h
constexpr std::int64_t kHeads = 16;
constexpr std::int64_t kVocabulary = 50304;
constexpr double kND = static_cast<double>(kTokens) * kModel;
constexpr double kNH = static_cast<double>(kTokens) * kHidden;
inline const Format kForward = Format::PerTensor(DType::kE4M3);
inline const Format kGradient = Format::PerTensor(DType::kE5M2);

/// The device, memory for operands, and the copy bandwidth that shares are of. Prints a line for each op whose name
/// contains `filter`.
class Bench {
 public:
  /// Operands of an op for one set: lays them out and gives the call.
  using Make = std::function<std::function<void()>()>;
  static constexpr int kSets = 3;

  Bench(std::string filter, const cuda::CudaOptions& options);

  /// An op that is limited by the `bytes` it moves.
  void Bytes(const std::string& name, double bytes, const Make& make, int sets = kSets);
  /// An op that is limited by what it calculates.
  void Flops(const std::string& name, double flops, const Make& make);

  TensorView Tensor(Shape shape, DType dtype) { return arena_.Tensor("operand", shape, dtype); }
  QuantizedView Quantized(Shape shape, Format format) { return arena_.Quantized("operand", shape, format); }
  /// Normally distributed.
  TensorView Normal(Shape shape, DType dtype = DType::kF32, float std = 1.0f);
  TensorView AbsMaxOf(ConstTensorView x);
  /// Random values in a format.
  QuantizedView Coded(Shape shape, Format format);

  Context ctx;

 private:
  double Time(const std::string& name, const Make& make, int set_count = kSets);
  double Seconds(const std::string& name, const std::function<void(int)>& call) const;
  double Median(const std::function<void()>& work) const;

  std::string filter_;
  Arena arena_;
  std::uint64_t next_ = 0;
  double copy_bandwidth_ = 1.0;
};

// One family of ops each, in a file of its own.
void TimeNorms(Bench& b);
void TimeQuantization(Bench& b);
void TimeMlp(Bench& b);
void TimeAttention(Bench& b);
void TimeEnds(Bench& b);
void TimeOptimizers(Bench& b);
void TimeProducts(Bench& b);

}  // namespace coat::bench
