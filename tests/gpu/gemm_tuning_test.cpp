// What the choice among algorithms of a matrix product rests on.

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "ops/gemm.h"
#include "tests/gpu/device_tensors.h"

namespace coat {
namespace {

constexpr std::int64_t kTerms = 512;

/// How many algorithms were chosen from, where of the first product of its shape all but `terms` terms of a sum are 0.
int AlgorithmsFor(std::int64_t terms) {
  DeviceTensors gpu;
  const TensorView a = gpu.Normal({256, kTerms}, 1);
  const TensorView b = gpu.Normal({384, kTerms}, 2);
  std::vector<std::uint16_t> values = gpu.Values<std::uint16_t>(a);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (static_cast<std::int64_t>(i) % kTerms >= terms) values[i] = 0x8000;  // -0
  }
  gpu.ctx().Upload(values.data(), a);
  Gemm(gpu.ctx(), {.a = AsPlain(a), .b = AsPlain(b), .d = gpu.Tensor({256, 384}, DType::kBF16)});
  const auto products = nlohmann::json::parse(gpu.device().ExportTuning()).at("products");
  EXPECT_EQ(products.size(), 1u);
  return products.begin()->at("algorithms").get<int>();
}

TEST(GemmTuning, TakesTheLibrarysFirstWhereSumsOfFewTermsTellNothingOfBits) {
  EXPECT_GT(AlgorithmsFor(kTerms), 1);
  EXPECT_GT(AlgorithmsFor(40), 1);
  EXPECT_EQ(AlgorithmsFor(24), 1);
  EXPECT_EQ(AlgorithmsFor(1), 1);
  EXPECT_EQ(AlgorithmsFor(0), 1);
}

}  // namespace
}  // namespace coat
