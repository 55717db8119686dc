#pragma once
// What tests of our ops against COAT's recorded ones share: the recording, bounds of roundings, comparisons.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"
#include "ops/quantize.h"
#include "tests/support/source_dir.h"

namespace coat {

constexpr std::int64_t kRows = 12;
constexpr std::int64_t kWidth = 512;
inline const Shape kShape = {kRows, kWidth};

/// A float32 sum of 512 terms in any order, with the few operations before and after it, relative to the sum of its
/// terms' magnitudes.
constexpr double kSumError = 528.0 * kFloatRoundoff;

using Values = std::vector<double>;

inline Values operator+(Values a, const Values& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

/// f of each index.
template <class Function>
Values Each(std::size_t count, Function&& f) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = f(i);
  return values;
}

inline Values ValuesIn(ConstTensorView x) {
  return Each(static_cast<std::size_t>(x.elements()), [&](std::size_t i) { return ValueAt(x, static_cast<int>(i)); });
}

inline Values ValuesIn(const ConstQuantizedView& x) {
  const auto width = static_cast<std::size_t>(x.shape()[1]);
  return Each(static_cast<std::size_t>(x.shape().elements()), [&](std::size_t i) {
    return ValueAt(x, static_cast<std::int64_t>(i / width), static_cast<std::int64_t>(i % width));
  });
}

/// The most that rounding to the code, under the scale it is stored with, has moved each value; with room for the
/// float32 roundings of the quotient.
inline Values CodeRounding(const ConstQuantizedView& x) {
  return Each(static_cast<std::size_t>(x.shape().elements()), [&](std::size_t i) {
    const auto index = static_cast<std::int64_t>(i);
    const std::int64_t group = x.format.scaling == Scaling::kGroup ? index / x.format.group : 0;
    return ValueAt(x.scales, group) * HalfUlp(x.format.dtype, ValueAt(x.codes, index)) * (1.0 + 0x1p-20);
  });
}

/// The same for COAT's groups, whose stored scale is not the one that the codes were made with.
inline Values CoatGroupRounding(const ConstQuantizedView& x) {
  const Values rounding = CodeRounding(x);
  const Values values = ValuesIn(x);
  return Each(values.size(),
              [&](std::size_t i) { return rounding[i] * (1.0 + 0x1p-8) + std::abs(values[i]) * 0x1p-8; });
}

inline void ExpectWithin(const std::string& what, const Values& ours, const Values& coat, const Values& bound) {
  ASSERT_EQ(ours.size(), coat.size()) << what;
  int failures = 0;
  for (std::size_t i = 0; i < ours.size() && failures < 3; ++i) {
    if (std::abs(ours[i] - coat[i]) <= bound[i]) continue;
    ++failures;
    ADD_FAILURE() << what << "[" << i << "]: ours is " << ours[i] << ", COAT's " << coat[i]
                  << ", and they may differ by " << bound[i];
  }
}

/// Root mean square, over rows of kWidth, of |row - exact row| / |exact row|: rows of every magnitude count alike.
inline double RelativeError(const Values& values, const Values& exact) {
  double sum = 0.0;
  int rows = 0;
  for (std::size_t begin = 0; begin < values.size(); begin += kWidth) {
    double error = 0.0;
    double energy = 0.0;
    for (std::size_t i = begin; i < begin + kWidth; ++i) {
      error += (values[i] - exact[i]) * (values[i] - exact[i]);
      energy += exact[i] * exact[i];
    }
    if (energy == 0.0) continue;
    sum += error / energy;
    ++rows;
  }
  return std::sqrt(sum / rows);
}

/// For groups, see the head of golden_coat_test.cpp.
inline void ExpectGroupsAsAccurate(const std::string& what, const Values& ours, const Values& coat,
                                   const Values& exact) {
  const double limit = std::hypot(RelativeError(coat, exact) * (1.0 + 0x1p-7), 0x1p-7 / std::sqrt(3.0));
  EXPECT_LE(RelativeError(ours, exact), limit) << what;
}

/// For tensors.
inline void ExpectAsAccurate(const std::string& what, const Values& ours, const Values& coat, const Values& exact) {
  EXPECT_LE(RelativeError(ours, exact), RelativeError(coat, exact) * (1.0 + 0x1p-8)) << what;
}

/// Where the tests run: golden_on_cpu.cpp, and gpu/golden_on_gpu.cpp, whose tensors the host reaches too.
Context OpenGoldenContext();
Operands::Memory GoldenMemory();

class GoldenCoatTest : public testing::Test {
 protected:
  GoldenCoatTest()
      : ctx_(OpenGoldenContext()), own_(GoldenMemory()), file_(SourceDir() + "/tests/golden/coat_ops.safetensors") {}

  TensorView Load(const std::string& name) {
    if (own_.Has(name)) return own_[name];
    const TensorInfo& info = file_.Info(name);
    const std::vector<std::int64_t>& sizes = info.shape;
    const Shape shape = sizes.size() == 2 ? Shape{sizes[0], sizes[1]} : Shape{sizes.empty() ? 1 : sizes[0]};
    const DType dtype = info.dtype == "F32"       ? DType::kF32
                        : info.dtype == "BF16"    ? DType::kBF16
                        : info.dtype == "F8_E4M3" ? DType::kE4M3
                                                  : DType::kE5M2;
    const TensorView tensor = own_.Output(name, shape, dtype);
    const auto bytes = file_.Bytes(name);
    std::memcpy(tensor.data(), bytes.data(), bytes.size());
    return tensor;
  }
  QuantizedView LoadGroups(const std::string& name, DType dtype, int group) {
    return {Load(name + ".q"), Load(name + ".s"), Format::PerGroup(dtype, group)};
  }
  /// COAT's scales of tensors are bf16 or float32; ours are float32.
  QuantizedView LoadTensor(const std::string& name, DType dtype) {
    return {Load(name + ".q"), InFloat(name + ".s in float", ValuesIn(Load(name + ".s")), {1}),
            Format::PerTensor(dtype)};
  }
  /// Values that float32 holds exactly, or nearly.
  TensorView InFloat(const std::string& name, const Values& values, Shape shape) {
    if (own_.Has(name)) return own_[name];
    const TensorView tensor = own_.Output(name, shape, DType::kF32);
    for (std::size_t i = 0; i < values.size(); ++i) tensor.As<float>()[i] = static_cast<float>(values[i]);
    return tensor;
  }
  TensorView Fresh(Shape shape, DType dtype) { return own_.Output("fresh " + std::to_string(++made_), shape, dtype); }
  QuantizedView Fresh(Shape shape, Format format) {
    return own_.QuantizedOutput("fresh " + std::to_string(++made_), shape, format);
  }
  TensorView AbsMaxOf(ConstTensorView x) {
    const TensorView absmax = Fresh({1}, DType::kF32);
    AbsMax(ctx_, {.x = x, .absmax = absmax});
    return absmax;
  }
  QuantizedView QuantizedAs(Format format, ConstTensorView x) {
    const QuantizedView y = Fresh(x.shape(), format);
    Quantize(ctx_, {.x = x, .absmax = format.scaling == Scaling::kTensor ? AbsMaxOf(x) : TensorView(), .y = y});
    return y;
  }

  Context ctx_;
  Operands own_;
  SafetensorsReader file_;
  int made_ = 0;
};

}  // namespace coat
