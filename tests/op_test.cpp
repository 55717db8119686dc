// Every case of every op on the CPU: against double precision, and the same bytes for any number of threads. And every
// case's check itself, with wrong results.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "numerics/bfloat16.h"
#include "ops/cases/op_case.h"

namespace coat {

/// GoogleTest's name of a case in messages.
void PrintTo(const OpCase& op, std::ostream* stream) {
  *stream << op.name;
}

namespace {

constexpr std::uint64_t kSeed = 7;

class OpTest : public testing::TestWithParam<OpCase> {};

TEST_P(OpTest, AgreesWithDoublePrecision) {
  const OpCase& op = GetParam();
  const Operands before = op.make(kSeed);
  const Operands after = before.Clone();
  Context ctx(DeviceKind::kCpu, 2);
  op.call(ctx, after);
  Checker checker;
  op.check(before, after, checker);
  EXPECT_EQ(checker.failed(), 0) << checker.failed() << " of " << checker.checked() << " checks fail:\n"
                                 << checker.report();
  EXPECT_GT(checker.checked(), 0) << "the case checks nothing";
}

/// Also from outputs whose first bytes are others.
TEST_P(OpTest, GivesTheSameBytesOnAnyNumberOfThreads) {
  const OpCase& op = GetParam();
  const Operands operands = op.make(kSeed);
  const Operands one = operands.Clone();
  const Operands three = operands.CloneWithOtherPoison();
  Context one_thread(DeviceKind::kCpu, 1);
  Context three_threads(DeviceKind::kCpu, 3);
  op.call(one_thread, one);
  op.call(three_threads, three);
  Checker checker;
  for (const Operands::Item& item : one.items()) checker.Same(item.name, three[item.name], item.tensor);
  EXPECT_EQ(checker.failed(), 0) << checker.report();
}

TEST_P(OpTest, LeavesItsInputsAlone) {
  const OpCase& op = GetParam();
  const Operands before = op.make(kSeed);
  const Operands after = before.Clone();
  Context ctx(DeviceKind::kCpu, 2);
  op.call(ctx, after);
  for (const Operands::Item& item : before.items()) {
    if (item.output) continue;
    EXPECT_EQ(std::memcmp(item.tensor.data(), after[item.name].data(), static_cast<std::size_t>(item.tensor.bytes())),
              0)
        << item.name << " is an input and was changed";
  }
}

std::string TestName(const testing::TestParamInfo<OpCase>& info) {
  std::string name = info.param.name;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

enum class Wrong { kZero, kNegated };

/// Makes a result wrong. False if it is as before: zero, or without a sign that an op owes, as what is not finite.
bool Spoil(Wrong wrong, TensorView x) {
  bool changed = false;
  const auto wrong_value = [&](float value) {
    const float result = wrong == Wrong::kZero ? 0.0f : -value;
    changed |= result != value && (wrong == Wrong::kZero || std::isfinite(value));
    return result;
  };
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    if (x.dtype() == DType::kF32) {
      x.As<float>()[i] = wrong_value(x.As<float>()[i]);
    } else if (x.dtype() == DType::kBF16) {
      x.As<BFloat16>()[i] = ToBFloat16(wrong_value(ToFloat(x.As<BFloat16>()[i])));
    } else if (IsFp8(x.dtype())) {
      std::uint8_t& code = x.As<std::uint8_t>()[i];
      wrong_value(static_cast<float>(ValueAt(x, i)));
      code = wrong == Wrong::kZero ? 0 : static_cast<std::uint8_t>(code ^ 0x80);
    } else if (wrong == Wrong::kZero) {
      changed |= ValueAt(x, i) != 0.0;
    }
  }
  if (wrong == Wrong::kZero && !IsPlain(x.dtype()) && !IsFp8(x.dtype())) {
    std::memset(x.data(), 0, static_cast<std::size_t>(x.bytes()));
  }
  return changed;
}

/// The wrong results of a case that its check takes for right, a line each.
std::set<std::string> Unnoticed(const OpCase& op, const Operands& before) {
  const Operands after = before.Clone();
  Context ctx(DeviceKind::kCpu, 1);
  op.call(ctx, after);
  std::set<std::string> unnoticed;
  for (const Operands::Item& item : after.items()) {
    for (const Wrong wrong : {Wrong::kZero, Wrong::kNegated}) {
      const Operands spoiled = after.Clone();
      if (!item.output || !Spoil(wrong, spoiled[item.name])) continue;
      for (const DeviceKind device : {DeviceKind::kCpu, DeviceKind::kCuda}) {
        Checker checker(device);
        op.check(before, spoiled, checker);
        if (checker.failed() > 0) continue;
        unnoticed.insert(item.name + (wrong == Wrong::kZero ? " zero" : " negated") +
                         (device == DeviceKind::kCpu ? " on the CPU" : " on a GPU"));
      }
    }
  }
  return unnoticed;
}

/// Every case with few elements, and of others one in so many as fit into the time of a test; primes, so that no
/// pattern in the order of the cases is left out.
bool IsInSample(std::size_t index, const Operands& operands) {
  std::int64_t elements = 0;
  for (const Operands::Item& item : operands.items()) elements += item.tensor.elements();
  if (elements > 300'000) return index % 61 == 0;
  return elements <= 5'000 || index % 11 == 0;
}

/// A result may be so small for one seed that its sign is lost in roundings that the contract allows: the check must
/// notice each wrong result for one of three.
TEST(OpTest, NoticesWrongResults) {
  const std::vector<OpCase> cases = AllOpCases();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const OpCase& op = cases[i];
    if (op.large && i % 11 != 0) continue;
    const Operands operands = op.make(kSeed);
    if (!IsInSample(i, operands)) continue;
    std::set<std::string> unnoticed = Unnoticed(op, operands);
    for (std::uint64_t seed = kSeed + 1; seed < kSeed + 3 && !unnoticed.empty(); ++seed) {
      const std::set<std::string> with_this = Unnoticed(op, op.make(seed));
      std::erase_if(unnoticed, [&](const std::string& wrong) { return !with_this.contains(wrong); });
    }
    for (const std::string& wrong : unnoticed) ADD_FAILURE() << op.name << ": the check takes " << wrong;
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, OpTest, testing::ValuesIn(AllOpCases()), TestName);

}  // namespace
}  // namespace coat
