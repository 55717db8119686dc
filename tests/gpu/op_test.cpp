// Every case of every op on the GPU: against double precision with the bounds of its contract; the CPU's bytes where
// the contract is bitwise; the same bytes when it runs again. Outputs are poisoned before each run, with other bytes
// the second time.

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "base/error.h"
#include "cuda/open_device.h"
#include "ops/cases/op_case.h"
#include "tests/gpu/gpu.h"
#include "tests/support/error_of.h"

namespace coat {

/// GoogleTest's name of a case in messages.
void PrintTo(const OpCase& op, std::ostream* stream) {
  *stream << op.name;
}

namespace {

constexpr std::uint64_t kSeed = 11;

/// One device for all cases.
Context& TheGpu() {
  static Context gpu = OpenGpu();
  return gpu;
}

/// One without FP8 tensor cores.
Context& TheDecodingGpu() {
  static Context gpu = OpenGpu({.gemm = cuda::GemmMode::kBf16});
  return gpu;
}

/// The operands after the op has run on a GPU.
Operands RunOn(Context& gpu, const OpCase& op, const Operands& before) {
  const Operands on_device = before.CopyTo(gpu);
  op.call(gpu, on_device);
  return on_device.CopyFrom(gpu);
}

void ExpectContract(Context& gpu, const OpCase& op, bool decodes_fp8 = false) {
  const Operands before = op.make(kSeed);
  if (op.beyond_tensor_cores && cuda::MultipliesFp8(*gpu.backend(), *op.beyond_tensor_cores)) {
    ExpectParts(ErrorOf<ArgumentError>([&] { RunOn(gpu, op, before); }), {"FP8 tensor cores take", "multiple"});
    return;
  }
  const Operands after = RunOn(gpu, op, before);
  Checker checker(DeviceKind::kCuda, decodes_fp8);
  op.check(before, after, checker);
  if (op.bitwise) {
    const Operands on_cpu = before.Clone();
    Context cpu(DeviceKind::kCpu, 1);
    op.call(cpu, on_cpu);
    for (const Operands::Item& item : on_cpu.items()) checker.Same(item.name, after[item.name], item.tensor);
  }
  const Operands again = RunOn(gpu, op, before.CloneWithOtherPoison());
  for (const Operands::Item& item : again.items()) {
    checker.Same(item.name + " again", item.tensor, after[item.name]);
  }
  EXPECT_EQ(checker.failed(), 0) << checker.failed() << " of " << checker.checked() << " checks fail:\n"
                                 << checker.report();
}

class GpuOpTest : public testing::TestWithParam<OpCase> {};

TEST_P(GpuOpTest, AgreesWithTheContract) {
  ExpectContract(TheGpu(), GetParam());
}

class DecodedProductTest : public testing::TestWithParam<OpCase> {};

TEST_P(DecodedProductTest, AgreesWithTheContract) {
  ExpectContract(TheDecodingGpu(), GetParam(), /*decodes_fp8=*/true);
}

std::string TestName(const testing::TestParamInfo<OpCase>& info) {
  std::string name = info.param.name;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

/// All but those of FillRotaryTable, which works on host memory only.
std::vector<OpCase> GpuCases() {
  std::vector<OpCase> cases = AllOpCases();
  std::erase_if(cases, [](const OpCase& op) { return op.name.starts_with("FillRotaryTable"); });
  return cases;
}

/// Products of FP8 operands.
std::vector<OpCase> Fp8Products() {
  std::vector<OpCase> cases = AllOpCases();
  std::erase_if(cases, [](const OpCase& op) {
    return !op.name.starts_with("Gemm") ||
           (op.name.find("e4m3") == op.name.npos && op.name.find("e5m2") == op.name.npos);
  });
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuOpTest, testing::ValuesIn(GpuCases()), TestName);
INSTANTIATE_TEST_SUITE_P(Gpu, DecodedProductTest, testing::ValuesIn(Fp8Products()), TestName);

}  // namespace
}  // namespace coat
