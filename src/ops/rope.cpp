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

/// What both directions share: `qkv` in place, the table and the mask.
void RequireRopeOperands(const Context& ctx, std::string_view op, std::string_view qkv_name, ConstTensorView qkv,
                         ConstTensorView table, ConstTensorView clip_mask, std::int64_t heads, std::int64_t kv_heads) {
  const std::string table_name = std::string(op) + " table";
  const std::string full_qkv_name = std::string(op) + " " + std::string(qkv_name);
  COAT_REQUIRE(heads > 0 && kv_heads > 0, "{} has {} heads and {} kv_heads; expected at least one of each", op, heads,
               kv_heads);
  RequireRank(ctx, table_name, table, 2);
  const std::int64_t positions = table.shape()[0];
  const std::int64_t head_size = table.shape()[1];
  RequireTensor(ctx, table_name, table, table.shape(), DType::kF32);
  COAT_REQUIRE(positions > 0 && head_size > 0 && head_size % 2 == 0,
               "{} is {}; expected [T, K] with T > 0 and an even K > 0", table_name, table.ToString());
  RequireRank(ctx, full_qkv_name, qkv, 2);
  const Shape shape = {qkv.shape()[0], (heads + 2 * kv_heads) * head_size};
  RequirePlain(ctx, full_qkv_name, qkv, shape);
  COAT_REQUIRE(shape[0] % positions == 0, "{} is {}; expected a multiple of the table's {} rows", full_qkv_name,
               qkv.ToString(), positions);
  if (!clip_mask) return;
  COAT_REQUIRE(shape[1] % 8 == 0, "{} clip_mask is given for rows of {}; expected a multiple of 8", op, shape[1]);
  RequireTensor(ctx, std::string(op) + " clip_mask", clip_mask, {shape[0], shape[1] / 8}, DType::kU8);
}

}  // namespace

void RopeForward(Context& ctx, const RopeForwardArgs& args) {
  RequireRopeOperands(ctx, "RopeForward", "qkv", args.qkv, args.table, args.clip_mask, args.heads, args.kv_heads);
  COAT_REQUIRE(std::isfinite(args.clip) && args.clip >= 0.0f,
               "RopeForward clip is {}; expected a finite number, 0 for no clamp", args.clip);
  COAT_REQUIRE(!args.clip_mask || args.clip > 0.0f, "RopeForward clip_mask is given, but clip is 0");
  COAT_DISPATCH(RopeForward, ctx, args);
}

void RopeBackward(Context& ctx, const RopeBackwardArgs& args) {
  RequireRopeOperands(ctx, "RopeBackward", "d_qkv", args.d_qkv, args.table, args.clip_mask, args.heads, args.kv_heads);
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
