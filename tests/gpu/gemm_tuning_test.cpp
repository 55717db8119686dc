// What the choice among algorithms of a matrix product rests on.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ops/gemm.h"
#include "tests/gpu/device_tensors.h"

namespace coat {
namespace {

/// How many algorithms were chosen from, where the first product of its shape has operands of this size.
int AlgorithmsFor(float scale) {
  DeviceTensors gpu;
  const TensorView a = gpu.Normal({256, 512}, 1, scale);
  const TensorView b = gpu.Normal({384, 512}, 2);
  Gemm(gpu.ctx(), {.a = AsPlain(a), .b = AsPlain(b), .d = gpu.Tensor({256, 384}, DType::kBF16)});
  const auto products = nlohmann::json::parse(gpu.device().ExportTuning()).at("products");
  EXPECT_EQ(products.size(), 1u);
  return products.begin()->at("algorithms").get<int>();
}

TEST(GemmTuning, TakesTheLibrarysFirstWhereZerosTellNothingOfBits) {
  EXPECT_GT(AlgorithmsFor(1.0f), 1);
  EXPECT_EQ(AlgorithmsFor(0.0f), 1);
}

}  // namespace
}  // namespace coat
