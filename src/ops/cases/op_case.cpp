#include "ops/cases/op_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "base/error.h"
#include "numerics/bfloat16.h"
#include "numerics/fp8.h"
#include "numerics/scale.h"

namespace coat {

namespace {

constexpr std::uint8_t kPoison = 0xff;
constexpr std::uint8_t kOtherPoison = 0x35;

std::mt19937_64 GeneratorFor(std::string_view name, std::uint64_t seed) {
  std::uint64_t hash = 1469598103934665603u ^ seed;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return std::mt19937_64(hash);
}

/// `count` values of a kind, rows of `width`.
std::vector<float> Values(std::int64_t count, std::int64_t width, Data data, std::mt19937_64& generator) {
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> decades(-3.0f, 3.0f);
  std::vector<float> values(static_cast<std::size_t>(count));
  float row_factor = 1.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    if (i % width == 0) row_factor = std::pow(10.0f, decades(generator));
    const float z = normal(generator);
    float& value = values[static_cast<std::size_t>(i)];
    switch (data) {
      case Data::kNormal:
        value = z;
        break;
      case Data::kHeavyTails:
        value = z * z * z * row_factor;
        break;
      case Data::kOutliers:
        value = generator() % 64 == 0 ? 1000.0f * z : z;
        break;
      case Data::kZeroGroups:
        value = i / 16 % 2 == 0 ? z : 0.0f;
        break;
      case Data::kTiny:
        value = std::ldexp(z, -133);
        break;
      case Data::kSmall:
        value = std::ldexp(z, -4);
        break;
      case Data::kHuge:
        value = std::ldexp(z, 100);
        break;
      case Data::kIntegers:
        value = static_cast<float>(static_cast<int>(generator() % 9) - 4);
        break;
    }
  }
  return values;
}

template <class F>
void EncodeGroup(const std::vector<float>& values, const std::vector<std::int64_t>& members, DType scale_dtype,
                 std::uint8_t* codes, void* scales, std::int64_t scale_index) {
  float absmax = 0.0f;
  for (const std::int64_t i : members) absmax = std::max(absmax, std::abs(values[static_cast<std::size_t>(i)]));
  float scale = ScaleFromAbsMax<F>(absmax);
  if (scale_dtype == DType::kBF16) {
    const BFloat16 rounded = GroupScaleFromAbsMax<F>(absmax);
    static_cast<BFloat16*>(scales)[scale_index] = rounded;
    scale = ToFloat(rounded);
  } else {
    static_cast<float*>(scales)[scale_index] = scale;
  }
  for (const std::int64_t i : members) codes[i] = EncodeScaled<F>(values[static_cast<std::size_t>(i)], 1.0f / scale);
}

/// Index of the scale of element [row, column] of an [N, F] matrix.
std::int64_t ScaleIndex(const Format& format, Shape shape, std::int64_t row, std::int64_t column) {
  switch (format.scaling) {
    case Scaling::kGroup:
      return row * (shape[1] / format.group) + column / format.group;
    case Scaling::kBlock128:
      return row / 128 * (shape[1] / 128) + column / 128;
    default:
      return 0;
  }
}

}  // namespace

std::string_view NameOf(Data data) {
  constexpr std::string_view kNames[] = {"normal", "heavy_tails", "outliers", "zero_groups",
                                         "tiny",   "small",       "huge",     "integers"};
  return kNames[static_cast<int>(data)];
}

Operands Operands::Clone() const {
  Operands copy;
  for (const Item& item : items_) {
    const TensorView tensor = copy.Allocate(item.name, item.tensor.shape(), item.tensor.dtype(), item.output);
    std::memcpy(tensor.data(), item.tensor.data(), static_cast<std::size_t>(item.tensor.bytes()));
  }
  return copy;
}

Operands Operands::CloneWithOtherPoison() const {
  const Operands copy = Clone();
  for (const Item& item : copy.items_) {
    const auto* const begin = item.tensor.As<std::uint8_t>();
    const bool poisoned = std::all_of(begin, begin + item.tensor.bytes(), [](std::uint8_t b) { return b == kPoison; });
    if (item.output && poisoned) {
      std::memset(item.tensor.data(), kOtherPoison, static_cast<std::size_t>(item.tensor.bytes()));
    }
  }
  return copy;
}

Operands Operands::CopyTo(const Context& ctx) const {
  const std::shared_ptr<Device> device = ctx.backend();
  Operands copy({.device = ctx.device(), .allocate = [device](std::size_t bytes) {
                   std::byte* const block = device->Allocate(static_cast<std::int64_t>(bytes));
                   return std::shared_ptr<std::byte[]>(block, [device](std::byte* b) { device->Free(b); });
                 }});
  for (const Item& item : items_) {
    const TensorView tensor = copy.AllocateOnly(item.name, item.tensor.shape(), item.tensor.dtype(), item.output);
    ctx.Upload(item.tensor.data(), tensor);
  }
  return copy;
}

Operands Operands::CopyFrom(const Context& ctx) const {
  Operands copy;
  for (const Item& item : items_) {
    ctx.Download(item.tensor, copy.Allocate(item.name, item.tensor.shape(), item.tensor.dtype(), item.output).data());
  }
  return copy;
}

TensorView Operands::Allocate(std::string_view name, Shape shape, DType dtype, bool output) {
  const TensorView tensor = AllocateOnly(name, shape, dtype, output);
  std::memset(tensor.data(), kPoison, static_cast<std::size_t>(tensor.bytes()));
  return tensor;
}

TensorView Operands::AllocateOnly(std::string_view name, Shape shape, DType dtype, bool output) {
  COAT_REQUIRE(!Has(name), "operand {} exists already", name);
  blocks_.push_back(
      memory_.allocate(static_cast<std::size_t>(std::max<std::int64_t>(shape.elements() * SizeOf(dtype), 1))));
  items_.push_back({std::string(name), TensorView(blocks_.back().get(), shape, dtype, memory_.device), output});
  return items_.back().tensor;
}

TensorView Operands::Input(std::string_view name, Shape shape, DType dtype, std::uint64_t seed, Data data) {
  const TensorView tensor = Allocate(name, shape, dtype, false);
  std::mt19937_64 generator = GeneratorFor(name, seed);
  const std::int64_t count = tensor.elements();
  if (IsPlain(dtype)) {
    const std::int64_t width = shape.rank() == 0 ? 1 : std::max<std::int64_t>(shape[shape.rank() - 1], 1);
    const std::vector<float> values = Values(count, width, data, generator);
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = values[static_cast<std::size_t>(i)];
      if (dtype == DType::kF32) tensor.As<float>()[i] = value;
      if (dtype == DType::kBF16) tensor.As<BFloat16>()[i] = ToBFloat16(value);
    }
    return tensor;
  }
  COAT_REQUIRE(IsFp8(dtype) || dtype == DType::kU8, "operand {} of type {} cannot be filled", name, NameOf(dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    auto code = static_cast<std::uint8_t>(generator());
    if (dtype == DType::kE4M3 && (code & 0x7f) > E4M3::kMaxCode) code = 0;
    if (dtype == DType::kE5M2 && (code & 0x7f) > E5M2::kMaxCode) code = 0;
    tensor.As<std::uint8_t>()[i] = code;
  }
  return tensor;
}

TensorView Operands::InOut(std::string_view name, Shape shape, DType dtype, std::uint64_t seed, Data data) {
  const TensorView tensor = Input(name, shape, dtype, seed, data);
  items_.back().output = true;
  return tensor;
}

TensorView Operands::Indices(std::string_view name, Shape shape, std::uint64_t seed, std::int64_t low,
                             std::int64_t high) {
  const TensorView tensor = Allocate(name, shape, DType::kI32, false);
  std::mt19937_64 generator = GeneratorFor(name, seed);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.As<std::int32_t>()[i] = static_cast<std::int32_t>(
        low + static_cast<std::int64_t>(generator() % static_cast<std::uint64_t>(high - low)));
  }
  return tensor;
}

QuantizedView Operands::QuantizedInput(std::string_view name, Shape shape, Format format, std::uint64_t seed,
                                       Data data) {
  QuantizedView view;
  view.format = format;
  view.codes = Allocate(name, shape, format.dtype, false);
  view.scales = Allocate(std::string(name) + ".scales", format.ScaleShape(shape), format.scale_dtype, false);
  std::mt19937_64 generator = GeneratorFor(name, seed);
  const std::vector<float> values = Values(shape.elements(), shape[1], data, generator);
  std::vector<std::vector<std::int64_t>> groups(static_cast<std::size_t>(view.scales.elements()));
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    groups[static_cast<std::size_t>(ScaleIndex(format, shape, i / shape[1], i % shape[1]))].push_back(i);
  }
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto encode = format.dtype == DType::kE4M3 ? EncodeGroup<E4M3> : EncodeGroup<E5M2>;
    encode(values, groups[g], format.scale_dtype, view.codes.As<std::uint8_t>(), view.scales.data(),
           static_cast<std::int64_t>(g));
  }
  return view;
}

TensorView Operands::Output(std::string_view name, Shape shape, DType dtype) {
  return Allocate(name, shape, dtype, true);
}

QuantizedView Operands::QuantizedOutput(std::string_view name, Shape shape, Format format) {
  QuantizedView view;
  view.format = format;
  view.codes = Output(name, shape, format.dtype);
  view.scales = Output(std::string(name) + ".scales", format.ScaleShape(shape), format.scale_dtype);
  return view;
}

bool Operands::Has(std::string_view name) const {
  return std::any_of(items_.begin(), items_.end(), [&](const Item& item) { return item.name == name; });
}

TensorView Operands::operator[](std::string_view name) const {
  for (const Item& item : items_) {
    if (item.name == name) return item.tensor;
  }
  COAT_REQUIRE(false, "there is no operand {}", name);
  return {};
}

QuantizedView Operands::Quantized(std::string_view name, Format format) const {
  return {(*this)[name], (*this)[std::string(name) + ".scales"], format};
}

double ValueAt(ConstTensorView x, std::int64_t index) {
  switch (x.dtype()) {
    case DType::kF32:
      return x.As<float>()[index];
    case DType::kBF16:
      return ToFloat(x.As<BFloat16>()[index]);
    case DType::kE4M3:
      return DecodeFp8<E4M3>(x.As<std::uint8_t>()[index]);
    case DType::kE5M2:
      return DecodeFp8<E5M2>(x.As<std::uint8_t>()[index]);
    case DType::kU8:
      return x.As<std::uint8_t>()[index];
    case DType::kI32:
      return x.As<std::int32_t>()[index];
    case DType::kI64:
      return static_cast<double>(x.As<std::int64_t>()[index]);
  }
  return 0.0;
}

double ValueAt(const ConstQuantizedView& x, std::int64_t row, std::int64_t column) {
  const double code = ValueAt(x.codes, row * x.shape()[1] + column);
  if (x.format.scaling == Scaling::kNone) return code;
  return code * ValueAt(x.scales, ScaleIndex(x.format, x.shape(), row, column));
}

double HalfUlp(DType dtype, double value) {
  int mantissa_bits = 23;
  int smallest_exponent = -126;
  if (dtype == DType::kBF16) mantissa_bits = 7;
  if (dtype == DType::kE4M3) {
    mantissa_bits = E4M3::kMantissaBits;
    smallest_exponent = 1 - E4M3::kBias;
  }
  if (dtype == DType::kE5M2) {
    mantissa_bits = E5M2::kMantissaBits;
    smallest_exponent = 1 - E5M2::kBias;
  }
  const int exponent = value == 0.0 || !std::isfinite(value) ? smallest_exponent : std::ilogb(value);
  return std::ldexp(0.5, std::max(exponent, smallest_exponent) - mantissa_bits);
}

void Checker::Near(std::string_view what, std::int64_t index, double got, double exact, double bound) {
  ++checked_;
  const bool both_nan = std::isnan(got) && std::isnan(exact);
  if (both_nan || got == exact || std::abs(got - exact) <= bound) return;
  if (!FailsAmongFirst()) return;
  Report(fmt::format("{}[{}] is {:.9g}; exactly it is {:.9g}, and {:.3g} is allowed but the error is {:.3g}", what,
                     index, got, exact, bound, std::abs(got - exact)));
}

void Checker::Same(std::string_view what, ConstTensorView got, ConstTensorView expected) {
  ++checked_;
  if (got.shape() != expected.shape() || got.dtype() != expected.dtype()) {
    if (FailsAmongFirst()) Report(fmt::format("{} is {}; expected {}", what, got.ToString(), expected.ToString()));
    return;
  }
  const std::int64_t size = SizeOf(got.dtype());
  for (std::int64_t i = 0; i < got.elements(); ++i) {
    const bool nans = IsPlain(got.dtype()) && std::isnan(ValueAt(got, i)) && std::isnan(ValueAt(expected, i));
    if (!nans && std::memcmp(got.As<std::byte>() + i * size, expected.As<std::byte>() + i * size,
                             static_cast<std::size_t>(size)) != 0) {
      if (!FailsAmongFirst()) continue;
      Report(fmt::format("{}[{}] is {:.9g}; expected the same bytes as {:.9g}", what, i, ValueAt(got, i),
                         ValueAt(expected, i)));
    }
  }
}

void Checker::True(std::string_view what, bool condition) {
  ++checked_;
  if (!condition && FailsAmongFirst()) Report(std::string(what));
}

void RandomErrors::Add(double got, double exact, double variance) {
  squares_ += (got - exact) * (got - exact);
  variances_ += variance;
  ++count_;
}

void RandomErrors::Check(std::string_view what, Checker& checker) const {
  if (count_ == 0) return;
  const auto count = static_cast<double>(count_);
  checker.Near(fmt::format("the root mean square error of {}", what), 0, std::sqrt(squares_ / count), 0.0,
               6.0 * std::sqrt(variances_ / count));
}

}  // namespace coat
