#include "ops/checks.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace coat {

namespace {

void RequireOnDevice(const Context& ctx, std::string_view argument, ConstTensorView x) {
  COAT_REQUIRE(static_cast<bool>(x), "{} is missing", argument);
  COAT_REQUIRE(x.device() == ctx.device(), "{} is {}; expected it on {}", argument, x.ToString(), NameOf(ctx.device()));
}

std::string_view NameOf(Scaling scaling) {
  switch (scaling) {
    case Scaling::kNone:
      return "f32 or bf16";
    case Scaling::kTensor:
      return "fp8/t";
    case Scaling::kGroup:
      return "fp8/gG";
    case Scaling::kBlock128:
      return "fp8/b128";
  }
  return "?";
}

/// Groups and blocks must divide the matrix, and scales be of a type that the ops read.
void RequireScalable(std::string_view argument, const ConstQuantizedView& x, const Shape& shape) {
  const Format& format = x.format;
  if (format.scaling == Scaling::kGroup) {
    const int group = format.group;
    COAT_REQUIRE(group == 16 || group == 32 || group == 64 || group == 128,
                 "{} has groups of {}; expected 16, 32, 64 or 128", argument, group);
    COAT_REQUIRE(shape.rank() == 2 && shape[1] % group == 0, "{} is {}, whose rows do not divide into groups of {}",
                 argument, x.codes.ToString(), group);
    COAT_REQUIRE(IsPlain(format.scale_dtype), "{} has {} scales; expected f32 or bf16", argument,
                 NameOf(format.scale_dtype));
    return;
  }
  COAT_REQUIRE(
      format.scaling != Scaling::kBlock128 || (shape.rank() == 2 && shape[0] % 128 == 0 && shape[1] % 128 == 0),
      "{} is {}, which does not divide into 128 x 128 blocks", argument, x.codes.ToString());
  COAT_REQUIRE(format.scale_dtype == DType::kF32, "{} has {} scales; expected f32", argument,
               NameOf(format.scale_dtype));
}

}  // namespace

void RequireTensor(const Context& ctx, std::string_view argument, ConstTensorView x, Shape shape, DType dtype) {
  RequireOnDevice(ctx, argument, x);
  COAT_REQUIRE(x.shape() == shape && x.dtype() == dtype, "{} is {}; expected {} {}", argument, x.ToString(),
               shape.ToString(), NameOf(dtype));
}

void RequirePlain(const Context& ctx, std::string_view argument, ConstTensorView x, Shape shape) {
  RequireOnDevice(ctx, argument, x);
  COAT_REQUIRE(x.shape() == shape && IsPlain(x.dtype()), "{} is {}; expected {} f32 or bf16", argument, x.ToString(),
               shape.ToString());
}

void RequireRank(const Context& ctx, std::string_view argument, ConstTensorView x, int rank) {
  RequireOnDevice(ctx, argument, x);
  COAT_REQUIRE(x.shape().rank() == rank, "{} is {}; expected rank {}", argument, x.ToString(), rank);
}

void RequireHeads(std::string_view op, std::int64_t heads, std::int64_t kv_heads) {
  COAT_REQUIRE(heads > 0 && kv_heads > 0 && heads % kv_heads == 0,
               "{} has {} heads and {} kv_heads; expected heads to be a multiple of kv_heads, both above 0", op, heads,
               kv_heads);
}

void RequireRotary(const Context& ctx, std::string_view op, ConstTensorView table, std::string_view qkv_name,
                   ConstTensorView qkv, std::int64_t heads, std::int64_t kv_heads) {
  const std::string of_table = std::string(op) + " table";
  const std::string of_qkv = std::string(op) + " " + std::string(qkv_name);
  COAT_REQUIRE(heads > 0 && kv_heads > 0, "{} has {} heads and {} kv_heads; expected at least one of each", op, heads,
               kv_heads);
  RequireRank(ctx, of_table, table, 2);
  const std::int64_t positions = table.shape()[0];
  const std::int64_t head_size = table.shape()[1];
  RequireTensor(ctx, of_table, table, table.shape(), DType::kF32);
  COAT_REQUIRE(positions > 0 && head_size > 0 && head_size % 2 == 0,
               "{} is {}; expected [T, K] with T > 0 and an even K > 0", of_table, table.ToString());
  RequireRank(ctx, of_qkv, qkv, 2);
  const std::int64_t tokens = qkv.shape()[0];
  RequirePlain(ctx, of_qkv, qkv, {tokens, (heads + 2 * kv_heads) * head_size});
  COAT_REQUIRE(tokens % positions == 0, "{} is {}; expected a multiple of the table's {} rows", of_qkv, qkv.ToString(),
               positions);
}

void RequireQuantized(const Context& ctx, std::string_view argument, const ConstQuantizedView& x, Shape shape,
                      std::initializer_list<Scaling> accepted) {
  RequireOnDevice(ctx, argument, x.codes);
  std::string names;
  for (const Scaling scaling : accepted) names += (names.empty() ? "" : " or ") + std::string(NameOf(scaling));
  const bool known = std::find(accepted.begin(), accepted.end(), x.format.scaling) != accepted.end();
  COAT_REQUIRE(known && x.codes.shape() == shape, "{} is {}; expected {} {}", argument, x.ToString(), shape.ToString(),
               names);
  COAT_REQUIRE(x.codes.dtype() == x.format.dtype, "{} has {} codes under format {}", argument, NameOf(x.codes.dtype()),
               x.format.ToString());
  if (x.format.scaling == Scaling::kNone) {
    COAT_REQUIRE(IsPlain(x.format.dtype) && !x.scales, "{} is {}; a format without scales is f32 or bf16", argument,
                 x.ToString());
    return;
  }
  COAT_REQUIRE(IsFp8(x.format.dtype), "{} is {}; scaled codes are e4m3 or e5m2", argument, x.ToString());
  RequireScalable(argument, x, shape);
  RequireTensor(ctx, std::string(argument) + ".scales", x.scales, x.format.ScaleShape(shape), x.format.scale_dtype);
}

}  // namespace coat
