#include "ops/gemm.h"

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

bool IsGroup128(const Format& format) {
  return format.scaling == Scaling::kGroup && format.group == 128 && format.scale_dtype == DType::kF32;
}

bool FormatsMultiply(const Format& a, const Format& b) {
  if (a.scaling == Scaling::kNone) return a == b;
  if (a.dtype == DType::kE5M2 && b.dtype == DType::kE5M2) return false;
  if (a.scaling == Scaling::kTensor) return b.scaling == Scaling::kTensor;
  return IsGroup128(a) && (IsGroup128(b) || b.scaling == Scaling::kBlock128);
}

}  // namespace

GemmShape ShapeOf(const GemmArgs& args) {
  const Shape a = args.a.shape();
  const Shape b = args.b.shape();
  const bool a_transposed = args.layout == GemmLayout::kTN;
  return {a_transposed ? a[1] : a[0], args.layout == GemmLayout::kNT ? b[0] : b[1], a_transposed ? a[0] : a[1]};
}

void Gemm(Context& ctx, const GemmArgs& args) {
  const std::initializer_list<Scaling> any = {Scaling::kNone, Scaling::kTensor, Scaling::kGroup, Scaling::kBlock128};
  RequireRank(ctx, "Gemm a", args.a.codes, 2);
  RequireRank(ctx, "Gemm b", args.b.codes, 2);
  RequireQuantized(ctx, "Gemm a", args.a, args.a.shape(), any);
  RequireQuantized(ctx, "Gemm b", args.b, args.b.shape(), any);
  COAT_REQUIRE(
      FormatsMultiply(args.a.format, args.b.format),
      "Gemm has no product of {} by {}; it has f32 x f32, bf16 x bf16, fp8/t x fp8/t and fp8/g128 (f32 scales) "
      "x fp8/b128 or fp8/g128, but not e5m2 x e5m2",
      args.a.format.ToString(), args.b.format.ToString());
  COAT_REQUIRE(args.layout == GemmLayout::kNT || args.a.format.scaling == Scaling::kNone,
               "Gemm takes FP8 operands with K contiguous in both (kNT) only");
  const GemmShape shape = ShapeOf(args);
  const std::int64_t k_of_b = args.layout == GemmLayout::kNT ? args.b.shape()[1] : args.b.shape()[0];
  COAT_REQUIRE(shape.k == k_of_b, "Gemm a is {} and b is {}: their inner extents {} and {} differ", args.a.ToString(),
               args.b.ToString(), shape.k, k_of_b);
  COAT_REQUIRE(shape.k > 0, "Gemm a is {}; the inner extent must not be empty", args.a.ToString());
  RequirePlain(ctx, "Gemm d", args.d, {shape.m, shape.n});
  COAT_REQUIRE(args.d.dtype() == DType::kF32 || args.a.format.dtype != DType::kF32,
               "Gemm d is bf16, but a product of f32 operands is f32");
  COAT_DISPATCH(Gemm, ctx, args);
}

}  // namespace coat
