#pragma once
// From a tensor's type to a template argument, once per op, at the outermost loop. For both backends.

#include "base/dtype.h"
#include "base/error.h"
#include "numerics/bfloat16.h"
#include "numerics/fp8.h"

namespace coat {

/// Calls f.template operator()<T>() with T = float or BFloat16.
template <class Function>
decltype(auto) VisitPlain(DType dtype, Function&& f) {
  COAT_REQUIRE(IsPlain(dtype), "this tensor must be f32 or bf16, not {}", NameOf(dtype));
  return dtype == DType::kF32 ? f.template operator()<float>() : f.template operator()<BFloat16>();
}

/// Calls f.template operator()<F>() with F = E4M3 or E5M2.
template <class Function>
decltype(auto) VisitFp8(DType dtype, Function&& f) {
  COAT_REQUIRE(IsFp8(dtype), "this tensor must be FP8, not {}", NameOf(dtype));
  return dtype == DType::kE4M3 ? f.template operator()<E4M3>() : f.template operator()<E5M2>();
}

}  // namespace coat
