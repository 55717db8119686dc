#include "ops/accumulate.h"

#include <fmt/core.h>

#include <cstdint>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

OpCase CaseOf(Shape shape, DType from, DType to, Data data, bool perf = false) {
  OpCase op;
  op.name = fmt::format("Accumulate/{},{} to {},{}", shape.ToString(), NameOf(from), NameOf(to), NameOf(data));
  op.make = [=](std::uint64_t seed) {
    Operands operands;
    operands.Input("x", shape, from, seed, data);
    operands.InOut("y", shape, to, seed + 1, data);
    return operands;
  };
  op.call = [](Context& ctx, const Operands& operands) { Accumulate(ctx, {.x = operands["x"], .y = operands["y"]}); };
  op.check = [=](const Operands& before, const Operands& after, Checker& checker) {
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      // 53 bits are more than twice 24: the sum in double, rounded to float32, is the float32 sum.
      const double sum = RoundedTo(DType::kF32, ValueAt(before["x"], i) + ValueAt(before["y"], i));
      checker.Near("y", i, ValueAt(after["y"], i), RoundedTo(to, sum), 0.0);
    }
  };
  op.bitwise = true;
  if (perf) op.bytes = static_cast<double>(shape.elements() * (SizeOf(from) + 2 * SizeOf(to)));
  return op;
}

}  // namespace

std::vector<OpCase> AccumulateCases() {
  constexpr DType kF32 = DType::kF32;
  constexpr DType kBF16 = DType::kBF16;
  return {
      CaseOf({1}, kBF16, kF32, Data::kNormal),   CaseOf({37, 1001}, kF32, kF32, Data::kHeavyTails),
      CaseOf({997}, kF32, kBF16, Data::kTiny),   CaseOf({3, 5, 7}, kBF16, kBF16, Data::kNormal),
      CaseOf({40000}, kBF16, kF32, Data::kHuge), CaseOf({1024, 1024}, kF32, kF32, Data::kNormal, true),
  };
}

}  // namespace coat
