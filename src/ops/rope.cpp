#include "ops/rope.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

/// A byte of the mask has the bits of 8 columns of `qkv`.
void RequireClipMask(const Context& ctx, std::string_view op, ConstTensorView clip_mask, const Shape& qkv) {
  if (!clip_mask) return;
  COAT_REQUIRE(qkv[1] % 8 == 0, "{} clip_mask is given for rows of {}; expected a multiple of 8", op, qkv[1]);
  RequireTensor(ctx, std::string(op) + " clip_mask", clip_mask, {qkv[0], qkv[1] / 8}, DType::kU8);
}

}  // namespace

void RopeForward(Context& ctx, const RopeForwardArgs& args) {
  RequireRotary(ctx, "RopeForward", args.table, "qkv", args.qkv, args.heads, args.kv_heads);
  RequireClipMask(ctx, "RopeForward", args.clip_mask, args.qkv.shape());
  COAT_REQUIRE(std::isfinite(args.clip) && args.clip >= 0.0f,
               "RopeForward clip is {}; expected a finite number, 0 for no clamp", args.clip);
  COAT_REQUIRE(!args.clip_mask || args.clip > 0.0f, "RopeForward clip_mask is given, but clip is 0");
  COAT_DISPATCH(RopeForward, ctx, args);
}

void RopeBackward(Context& ctx, const RopeBackwardArgs& args) {
  RequireRotary(ctx, "RopeBackward", args.table, "d_qkv", args.d_qkv, args.heads, args.kv_heads);
  RequireClipMask(ctx, "RopeBackward", args.clip_mask, args.d_qkv.shape());
  if (args.absmax) RequireTensor(ctx, "RopeBackward absmax", args.absmax, {1}, DType::kF32);
  COAT_DISPATCH(RopeBackward, ctx, args);
}

void FillRotaryTable(TensorView table, double theta) {
  COAT_REQUIRE(table.shape().rank() == 2 && table.dtype() == DType::kF32 && table.device() == DeviceKind::kCpu,
               "FillRotaryTable table is {}; expected [T, K] f32 on cpu", ConstTensorView(table).ToString());
  const std::int64_t positions = table.shape()[0];
  const std::int64_t head_size = table.shape()[1];
  COAT_REQUIRE(head_size % 2 == 0, "FillRotaryTable table is {}; expected an even K",
               ConstTensorView(table).ToString());
  COAT_REQUIRE(std::isfinite(theta) && theta > 0.0, "FillRotaryTable theta is {}; expected a number above 0", theta);
  const std::int64_t frequencies = head_size / 2;
  for (std::int64_t j = 0; j < frequencies; ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(head_size);
    const float frequency = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
    for (std::int64_t p = 0; p < positions; ++p) {
      const double angle = static_cast<float>(p) * frequency;
      float* row = table.As<float>() + p * head_size;
      row[j] = static_cast<float>(std::cos(angle));
      row[frequencies + j] = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace coat
