// Every case of every op on the CPU: against double precision, and the same bytes for any number of threads.

#include <gtest/gtest.h>

#include <cstring>
#include <ostream>

#include "base/error.h"
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

TEST_P(OpTest, GivesTheSameBytesOnAnyNumberOfThreads) {
  const OpCase& op = GetParam();
  const Operands operands = op.make(kSeed);
  const Operands one = operands.Clone();
  const Operands three = operands.Clone();
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

INSTANTIATE_TEST_SUITE_P(Cpu, OpTest, testing::ValuesIn(AllOpCases()), TestName);

}  // namespace
}  // namespace coat
