#pragma once
// Cases of ops: one list an op (ops/cases/x_cases.cpp) serves the tests against double precision (tests/op_test.cpp), the
// comparison of backends and the benchmarks (bench/op_bench.cpp).

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

/// Kinds of data that ops meet: what a format finds easy, and what breaks careless code.
enum class Data : std::uint8_t {
  kNormal,      // standard normal
  kHeavyTails,  // normal cubed, times 10^[-3, 3] by row
  kOutliers,    // normal, one element in 64 a thousand times larger
  kZeroGroups,  // normal, every second run of 16 zero
  kTiny,        // normal times 2^-133: float32 subnormals among them
  kSmall,       // normal times 2^-4: its products with kTiny lose bits, but not all of them
  kHuge,        // normal times 2^100
  kIntegers,    // whole numbers in [-4, 4]: sums of them are exact
};

std::string_view NameOf(Data data);

/// The tensors of one case, by name, in host memory. Outputs are poisoned with 0xff bytes: NaN in every format.
class Operands {
 public:
  struct Item {
    std::string name;
    TensorView tensor;
    bool output = false;
  };

  /// Where tensors are put, and the device that their views name; memory that the host reaches, but for CopyTo.
  struct Memory {
    DeviceKind device = DeviceKind::kCpu;
    std::function<std::shared_ptr<std::byte[]>(std::size_t bytes)> allocate = [](std::size_t bytes) {
      return std::shared_ptr<std::byte[]>(new std::byte[bytes]);
    };
  };

  Operands() = default;
  explicit Operands(Memory memory) : memory_(std::move(memory)) {}
  /// The same tensors with copies of the bytes.
  Operands Clone() const;
  /// As Clone, but outputs are poisoned with other bytes. NaN is what some ops have to write: one that writes nothing
  /// is told from them by a second run, whose results differ.
  Operands CloneWithOtherPoison() const;
  /// The same on the context's device, which has a backend. Each tensor is an allocation of its own and of no more than
  /// its bytes, so that a checker of memory sees what an op touches beside it.
  Operands CopyTo(const Context& ctx) const;
  /// The same in host memory, of operands that CopyTo has made.
  Operands CopyFrom(const Context& ctx) const;

  /// A tensor filled from `seed` and its name: f32 and bf16 with `data`, FP8 with all finite codes, u8 with any byte.
  TensorView Input(std::string_view name, Shape shape, DType dtype, std::uint64_t seed, Data data = Data::kNormal);
  /// As Input, but the op may write over it: accumulators, in-place ops.
  TensorView InOut(std::string_view name, Shape shape, DType dtype, std::uint64_t seed, Data data = Data::kNormal);
  /// A tensor of whole numbers in [low, high): labels, ids.
  TensorView Indices(std::string_view name, Shape shape, std::uint64_t seed, std::int64_t low, std::int64_t high);
  /// A matrix made by encoding `data` in `format`: "name" and "name.scales".
  QuantizedView QuantizedInput(std::string_view name, Shape shape, Format format, std::uint64_t seed,
                               Data data = Data::kNormal);
  TensorView Output(std::string_view name, Shape shape, DType dtype);
  QuantizedView QuantizedOutput(std::string_view name, Shape shape, Format format);

  /// Throws ArgumentError when there is none of that name.
  TensorView operator[](std::string_view name) const;
  QuantizedView Quantized(std::string_view name, Format format) const;
  bool Has(std::string_view name) const;
  const std::vector<Item>& items() const { return items_; }

 private:
  TensorView Allocate(std::string_view name, Shape shape, DType dtype, bool output);
  TensorView AllocateOnly(std::string_view name, Shape shape, DType dtype, bool output);

  std::vector<Item> items_;
  Memory memory_;
  std::vector<std::shared_ptr<std::byte[]>> blocks_;
};

/// Element `index` of a plain, FP8 or integer tensor as a double; FP8 codes without their scale.
double ValueAt(ConstTensorView x, std::int64_t index);
/// Element [row, column] of a matrix in any format, code times scale in double.
double ValueAt(const ConstQuantizedView& x, std::int64_t row, std::int64_t column);

/// Half the distance between neighbors of `dtype` around `value`: the error of one rounding to nearest. At least half
/// the smallest subnormal.
double HalfUlp(DType dtype, double value);

/// Collects what differs; a test prints it. `device` is where the op has run, for contracts whose bounds depend on it.
class Checker {
 public:
  /// `decodes_fp8`: a GPU that multiplies FP8 operands in bf16.
  explicit Checker(DeviceKind device = DeviceKind::kCpu, bool decodes_fp8 = false)
      : device_(device), decodes_fp8_(decodes_fp8) {}

  DeviceKind device() const { return device_; }
  bool decodes_fp8() const { return decodes_fp8_; }
  /// |got - exact| <= bound; two NaNs agree, as do two infinities of one sign.
  void Near(std::string_view what, std::int64_t index, double got, double exact, double bound);
  /// The same bytes; any two NaNs of a plain type, whose bits processors choose, are the same.
  void Same(std::string_view what, ConstTensorView got, ConstTensorView expected);
  /// A condition with its description.
  void True(std::string_view what, bool condition);

  std::int64_t checked() const { return checked_; }
  std::int64_t failed() const { return failed_; }
  /// The first failures, a line each.
  const std::string& report() const { return report_; }

 private:
  /// Counts a failure; true if it is one of the first, which are reported. Texts of others are not worth their time.
  bool FailsAmongFirst() { return ++failed_ <= 5; }
  void Report(const std::string& line) { report_ += line + "\n"; }

  DeviceKind device_;
  bool decodes_fp8_;
  std::int64_t checked_ = 0;
  std::int64_t failed_ = 0;
  std::string report_;
};

/// The errors of many elements together, against what roundings of random signs add up to.
///
/// Bounds of the worst case of a long sum of few bits are as large as the sum. Errors of that size would all have to
/// have one sign; the root mean square over the elements shows that they have not.
class RandomErrors {
 public:
  /// An element; `variance` is the mean square that its error has at most, on average over the signs of its roundings.
  void Add(double got, double exact, double variance);
  /// The mean square of the errors is at most 6^2 of the variances' mean: no deviation that chance brings, be it of one
  /// element.
  void Check(std::string_view what, Checker& checker) const;

 private:
  double squares_ = 0.0;
  double variances_ = 0.0;
  std::int64_t count_ = 0;
};

/// One op on one set of inputs: a correctness test, a comparison of backends and a benchmark.
struct OpCase {
  std::string name;                                     // "Quantize/e4m3/g16,N=7,F=160,outliers"
  std::function<Operands(std::uint64_t seed)> make;     // fresh operands
  std::function<void(Context&, const Operands&)> call;  // the front door, and nothing else
  std::function<void(const Operands& before, const Operands& after, Checker&)> check;  // against double precision
  bool bitwise = false;                        // the op's contract: another backend gives the same bytes
  std::optional<Scaling> beyond_tensor_cores;  // of FP8 operands whose extents FP8 tensor cores do not take
  bool large = false;                          // takes long to make and to check: a test may take only some of these
  double bytes = 0.0;                          // moved at the least; 0 if the case is no benchmark
  double flops = 0.0;
};

/// Every case of every op.
std::vector<OpCase> AllOpCases();

std::vector<OpCase> QuantizeCases();
std::vector<OpCase> GemmCases();
std::vector<OpCase> LayerNormCases();
std::vector<OpCase> LayerNormBackwardCases();
std::vector<OpCase> SwigluCases();
std::vector<OpCase> SwigluQuantizeCases();
std::vector<OpCase> RopeCases();
std::vector<OpCase> RmsNormCases();
std::vector<OpCase> RmsNormBackwardCases();
std::vector<OpCase> QkNormRopeCases();
std::vector<OpCase> QkNormRopeBackwardCases();
std::vector<OpCase> AttentionCases();
std::vector<OpCase> CachedAttentionCases();
std::vector<OpCase> EmbeddingCases();
std::vector<OpCase> CrossEntropyCases();
std::vector<OpCase> AdamWCases();
std::vector<OpCase> LionWCases();
std::vector<OpCase> CoatAdamWCases();
std::vector<OpCase> StatisticsCases();
std::vector<OpCase> ClipCases();
std::vector<OpCase> FillCases();
std::vector<OpCase> CastCases();

}  // namespace coat
