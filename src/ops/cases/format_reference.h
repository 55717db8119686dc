#pragma once
// Number formats in double precision, from their definitions: what the cases of ops hold results against. Nothing here
// uses numerics/, so that a mistake there shows.

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/tensor.h"
#include "ops/cases/op_case.h"

namespace coat {

/// The unit roundoff of float32, 2^-24: the largest relative error of one operation whose result is a normal number.
constexpr double kFloatRoundoff = 0x1p-24;

/// `value` rounded to f32 or bf16: to nearest, ties to even, overflow to infinity; NaN stays NaN.
double RoundedTo(DType dtype, double value);

/// Sets an element of an f32 or bf16 tensor to `value`, rounded as above.
void SetValue(TensorView x, std::int64_t index, double value);

/// The value of an FP8 code by the definition of its format: sign, biased exponent, mantissa. NaN and, in e5m2,
/// infinity for the special codes.
double ExactFp8(DType format, std::uint8_t code);

/// The largest finite value of an FP8 format.
double LargestOf(DType format);

/// The scale of a tensor, group or block with this largest magnitude, as the contract of Quantize states it.
double ExactScale(const Format& format, double absmax);

/// Element [row, column] of a matrix in double.
using MatrixValues = std::function<double(std::int64_t row, std::int64_t column)>;

/// Checks every scale and every code of `y` against the contract of Quantize, `values` being the exact float32 matrix.
/// `tensor_absmax` is the absmax that a /t format is given, and is not looked at for others.
///
/// A code must be the nearest to value / scale (ties to even) in double. The contract allows two float32 roundings
/// before that, of 1 / scale and of the product, so either neighbor is accepted where the quotient lies within 2 units
/// of roundoff of their middle; not so if the scale is a power of two, for then both operations are exact.
void CheckQuantized(std::string_view what, const MatrixValues& values, double tensor_absmax,
                    const ConstQuantizedView& y, Checker& checker);

/// The largest |x| of a plain tensor; 0 if it has no element, NaN if any is NaN.
double AbsMaxOf(ConstTensorView x);
/// The largest |values| of a matrix; NaN if any is NaN.
double AbsMaxOf(const MatrixValues& values, std::int64_t rows, std::int64_t columns);

/// All of a plain or FP8 tensor as a matrix of doubles (FP8 codes times their scales).
MatrixValues ValuesOf(const ConstQuantizedView& x);
MatrixValues ValuesOf(ConstTensorView x);
MatrixValues Transposed(MatrixValues values);

}  // namespace coat
