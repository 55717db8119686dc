#pragma once

#include <span>

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct L2NormsArgs {
  std::span<const ConstTensorView> tensors;  // P of any shape, f32 or bf16
  TensorView norms;                          // [P] f32, written
};

/// norm = sqrt(sum of x^2) of each tensor; 0 for no elements. NaN if any element is NaN, else infinity if any is
/// infinite: a gradient that is not finite is found here.
///
/// The norm and not its square, so that a finite x whose squares exceed float32 is not taken for one that is not
/// finite. Rounding: squares and sums in double, in fixed blocks of interleaved partial sums added in order; the root
/// once to float32. Exactness: bound: one ulp of the norm; the same on every call. Throws ArgumentError unless types,
/// shapes and devices are as above. Source: the norms that OLMo's optimizers measure for clipping.
void L2Norms(Context& ctx, const L2NormsArgs& args);

struct StatisticsArgs {
  ConstTensorView x;      // any shape, f32 or bf16, at least one element
  TensorView statistics;  // [4] f32, written: smallest |x|, largest |x|, mean of x, L2 norm of x
};

/// What OLMo logs of a tensor as .min, .max, .avg and .norm. All four are NaN if any element is.
///
/// Rounding: the magnitudes are exact; sums as in L2Norms. Exactness: bound: the mean 2^-24 relative plus 2^-50 of the
/// mean of |x|, the norm as L2Norms. Throws ArgumentError unless types, shapes and devices are as above. Source: the
/// metrics of parameters that OLMo's optimizers collect.
void Statistics(Context& ctx, const StatisticsArgs& args);

namespace cpu {
void L2Norms(Context& ctx, const L2NormsArgs& args);
void Statistics(Context& ctx, const StatisticsArgs& args);
}  // namespace cpu
namespace cuda {
void L2Norms(Context& ctx, const L2NormsArgs& args);
void Statistics(Context& ctx, const StatisticsArgs& args);
}  // namespace cuda

}  // namespace coat
