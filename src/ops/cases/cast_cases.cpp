#include "ops/cast.h"

#include <fmt/core.h>

#include <cstdint>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

struct CastCase {
  Shape shape;
  DType from;
  DType to;
  Data data;
  bool accumulate = false;
  bool perf = false;
};

OpCase CaseOf(const CastCase& c) {
  const auto [shape, from, to, data, accumulate, perf] = c;
  OpCase op;
  op.name = fmt::format("Cast/{},{} {} {},{}", shape.ToString(), NameOf(from), accumulate ? "added to" : "to",
                        NameOf(to), NameOf(data));
  op.make = [=](std::uint64_t seed) {
    Operands operands;
    operands.Input("x", shape, from, seed, data);
    if (accumulate) {
      operands.InOut("y", shape, to, seed + 1, data);
    } else {
      operands.Output("y", shape, to);
    }
    return operands;
  };
  op.call = [=](Context& ctx, const Operands& operands) {
    Cast(ctx, {.x = operands["x"], .y = operands["y"], .accumulate = accumulate});
  };
  op.check = [=](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      // 53 bits are more than twice 24: the sum in double, rounded to float32, is the float32 sum.
      const double x = ValueAt(before["x"], i);
      const double result = accumulate ? RoundedTo(DType::kF32, x + ValueAt(before["y"], i)) : x;
      checker.Near("y", i, ValueAt(after["y"], i), RoundedTo(to, result), 0.0);
    }
  };
  op.bitwise = true;
  if (perf) op.bytes = static_cast<double>(shape.elements() * (SizeOf(from) + (accumulate ? 2 : 1) * SizeOf(to)));
  return op;
}

}  // namespace

std::vector<OpCase> CastCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  std::vector<OpCase> cases;
  for (const CastCase& c : std::initializer_list<CastCase>{
           {{1}, kF32, kBF16, Data::kNormal},
           {{37, 1001}, kF32, kBF16, Data::kHeavyTails},
           {{997}, kF32, kBF16, Data::kTiny},
           {{3, 5, 7}, kBF16, kF32, Data::kNormal},
           {{40000}, kF32, kF32, Data::kHuge},
           {{31}, kBF16, kBF16, Data::kZeroGroups},
           {{1024, 1024}, kF32, kBF16, Data::kNormal, false, true},
           {{1}, kBF16, kF32, Data::kNormal, true},
           {{37, 1001}, kF32, kF32, Data::kHeavyTails, true},
           {{997}, kF32, kBF16, Data::kTiny, true},
           {{3, 5, 7}, kBF16, kBF16, Data::kNormal, true},
           {{40000}, kBF16, kF32, Data::kHuge, true},
           {{1024, 1024}, kF32, kF32, Data::kNormal, true, true},
       }) {
    cases.push_back(CaseOf(c));
  }
  return cases;
}

}  // namespace coat
