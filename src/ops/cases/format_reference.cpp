#include "ops/cases/format_reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace coat {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

int MantissaBitsOf(DType format) {
  return format == DType::kE4M3 ? 3 : 2;
}

/// The values of an FP8 format's codes 0, 1, 2, ... up to the largest finite one: they rise.
std::vector<double> FiniteMagnitudes(DType format) {
  std::vector<double> values;
  for (int code = 0; code < 128; ++code) {
    const double value = ExactFp8(format, static_cast<std::uint8_t>(code));
    if (std::isfinite(value)) values.push_back(value);
  }
  return values;
}

/// Code of the value nearest to `magnitude` >= 0; a tie goes to the code with an even mantissa, which is the even code.
std::uint8_t NearestCode(const std::vector<double>& magnitudes, double magnitude) {
  const auto above = std::lower_bound(magnitudes.begin(), magnitudes.end(), magnitude);
  if (above == magnitudes.begin()) return 0;
  const auto upper = static_cast<std::uint8_t>(above - magnitudes.begin());
  const auto lower = static_cast<std::uint8_t>(upper - 1);
  if (above == magnitudes.end()) return lower;
  const double to_lower = magnitude - magnitudes[lower];
  const double to_upper = *above - magnitude;
  if (to_lower == to_upper) return lower % 2 == 0 ? lower : upper;
  return to_lower < to_upper ? lower : upper;
}

bool IsPowerOfTwo(double x) {
  int exponent = 0;
  return std::frexp(x, &exponent) == 0.5;
}

/// Compares codes with the nearest ones to value / scale.
class CodeChecker {
 public:
  CodeChecker(std::string_view what, DType format, Checker& checker)
      : what_(std::string(what) + " code"), format_(format), magnitudes_(FiniteMagnitudes(format)), checker_(checker) {}

  void Check(std::int64_t index, double value, double scale, std::uint8_t code) {
    const double quotient = value / scale;
    if (std::isnan(quotient)) {
      checker_.Near(what_, index, ExactFp8(format_, code), kNaN, 0.0);
      return;
    }
    const double magnitude = std::abs(quotient);
    // (1 + u)^2 - 1 for the unit roundoff u.
    const double tolerance =
        IsPowerOfTwo(scale) || std::isinf(magnitude) ? 0.0 : magnitude * kFloatRoundoff * (2.0 + kFloatRoundoff);
    const std::uint8_t sign = std::signbit(quotient) ? 0x80 : 0;
    const std::uint8_t lowest = NearestCode(magnitudes_, magnitude - tolerance) | sign;
    const std::uint8_t highest = NearestCode(magnitudes_, magnitude + tolerance) | sign;
    // Codes of one sign order like their magnitudes.
    const bool accepted = lowest <= code && code <= highest;
    checker_.Near(what_, index, accepted ? 0.0 : code, accepted ? 0.0 : lowest, 0.0);
  }

 private:
  std::string what_;
  DType format_;
  std::vector<double> magnitudes_;
  Checker& checker_;
};

/// Rows and columns that share a scale.
std::pair<std::int64_t, std::int64_t> RegionOf(const Format& format, const Shape& shape) {
  switch (format.scaling) {
    case Scaling::kGroup:
      return {1, format.group};
    case Scaling::kBlock128:
      return {128, 128};
    default:
      return {shape[0], shape[1]};
  }
}

}  // namespace

double RoundedTo(DType dtype, double value) {
  if (!std::isfinite(value) || value == 0.0) return value;
  // A multiple of the distance between neighbors; the default rounding mode of nearbyint is to nearest, ties to even.
  const double spacing = 2.0 * HalfUlp(dtype, value);
  const double rounded = std::nearbyint(value / spacing) * spacing;
  const double largest = dtype == DType::kF32 ? 0x1.fffffep127 : 0x1.fep127;
  return std::abs(rounded) > largest ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

void SetValue(TensorView x, std::int64_t index, double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(RoundedTo(x.dtype(), value)));
  if (x.dtype() == DType::kF32) x.As<std::uint32_t>()[index] = bits;
  if (x.dtype() == DType::kBF16) x.As<std::uint16_t>()[index] = static_cast<std::uint16_t>(bits >> 16);
}

double ExactFp8(DType format, std::uint8_t code) {
  const int mantissa_bits = MantissaBitsOf(format);
  const int bias = format == DType::kE4M3 ? 7 : 15;
  const double sign = (code & 0x80) != 0 ? -1.0 : 1.0;
  const int exponent = (code & 0x7f) >> mantissa_bits;
  const int mantissa = code & ((1 << mantissa_bits) - 1);
  if (format == DType::kE4M3 && (code & 0x7f) == 0x7f) return kNaN;
  if (format == DType::kE5M2 && exponent == 31) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : kNaN;
  }
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias);
  return sign * std::ldexp(1.0 + fraction, exponent - bias);
}

double LargestOf(DType format) {
  return FiniteMagnitudes(format).back();
}

double ExactScale(const Format& format, double absmax) {
  if (absmax == 0.0) return 1.0;
  if (!std::isfinite(absmax)) return absmax;
  const double scale = std::max(RoundedTo(DType::kF32, absmax / LargestOf(format.dtype)), 0x1p-126);
  if (format.scale_dtype == DType::kF32) return scale;
  const double spacing = 2.0 * HalfUlp(DType::kBF16, scale);
  return std::ceil(scale / spacing) * spacing;
}

void CheckQuantized(std::string_view what, const MatrixValues& values, double tensor_absmax,
                    const ConstQuantizedView& y, Checker& checker) {
  const Shape shape = y.shape();
  const auto [rows, columns] = RegionOf(y.format, shape);
  const bool per_tensor = y.format.scaling == Scaling::kTensor;
  const std::string scale_name = std::string(what) + " scale";
  CodeChecker codes(what, y.format.dtype, checker);
  std::int64_t index = 0;
  for (std::int64_t row = 0; row < shape[0] || (per_tensor && index == 0); row += rows) {
    for (std::int64_t column = 0; column < shape[1] || (per_tensor && index == 0); column += columns, ++index) {
      const MatrixValues region = [&, row = row, column = column](std::int64_t r, std::int64_t c) {
        return values(row + r, column + c);
      };
      const double absmax = per_tensor ? tensor_absmax : AbsMaxOf(region, rows, columns);
      const double scale = ValueAt(y.scales, index);
      checker.Near(scale_name, index, scale, ExactScale(y.format, absmax), 0.0);
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < columns; ++c) {
          const std::int64_t element = (row + r) * shape[1] + column + c;
          codes.Check(element, region(r, c), scale, y.codes.As<std::uint8_t>()[element]);
        }
      }
    }
  }
}

double AbsMaxOf(ConstTensorView x) {
  double largest = 0.0;
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const double magnitude = std::abs(ValueAt(x, i));
    if (std::isnan(magnitude)) return magnitude;
    largest = std::max(largest, magnitude);
  }
  return largest;
}

double AbsMaxOf(const MatrixValues& values, std::int64_t rows, std::int64_t columns) {
  double absmax = 0.0;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      const double magnitude = std::abs(values(row, column));
      if (std::isnan(magnitude)) return kNaN;
      absmax = std::max(absmax, magnitude);
    }
  }
  return absmax;
}

MatrixValues ValuesOf(const ConstQuantizedView& x) {
  return [x](std::int64_t row, std::int64_t column) { return ValueAt(x, row, column); };
}

MatrixValues ValuesOf(ConstTensorView x) {
  return ValuesOf(AsPlain(x));
}

MatrixValues Transposed(MatrixValues values) {
  return [values = std::move(values)](std::int64_t row, std::int64_t column) { return values(column, row); };
}

}  // namespace coat
