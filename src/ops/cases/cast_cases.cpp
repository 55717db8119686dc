#include "ops/cast.h"

#include <fmt/core.h>

#include <cstdint>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

OpCase CaseOf(Shape shape, DType from, DType to, Data data, bool perf = false) {
  OpCase op;
  op.name = fmt::format("Cast/{},{} to {},{}", shape.ToString(), NameOf(from), NameOf(to), NameOf(data));
  op.make = [=](std::uint64_t seed) {
    Operands operands;
    operands.Input("x", shape, from, seed, data);
    operands.Output("y", shape, to);
    return operands;
  };
  op.call = [](Context& ctx, const Operands& operands) { Cast(ctx, {.x = operands["x"], .y = operands["y"]}); };
  op.check = [=](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      checker.Near("y", i, ValueAt(after["y"], i), RoundedTo(to, ValueAt(before["x"], i)), 0.0);
    }
  };
  op.bitwise = true;
  if (perf) op.bytes = static_cast<double>(shape.elements() * (SizeOf(from) + SizeOf(to)));
  return op;
}

}  // namespace

std::vector<OpCase> CastCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  return {
      CaseOf({1}, kF32, kBF16, Data::kNormal),
      CaseOf({37, 1001}, kF32, kBF16, Data::kHeavyTails),
      CaseOf({997}, kF32, kBF16, Data::kTiny),
      CaseOf({3, 5, 7}, kBF16, kF32, Data::kNormal),
      CaseOf({40000}, kF32, kF32, Data::kHuge),
      CaseOf({31}, kBF16, kBF16, Data::kZeroGroups),
      CaseOf({1024, 1024}, kF32, kBF16, Data::kNormal, true),
  };
}

}  // namespace coat
