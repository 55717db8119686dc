// Our ops against what COAT's own gave for the same inputs (tests/golden/coat_ops.safetensors, cut out of a recording
// by scripts/extract_golden.py, which describes it).
//
// We differ on purpose, so decoded values are compared, not codes. With s = absmax / fmax and u(q) half the distance
// between neighbors of the format around the code q:
//  - groups: COAT makes codes with s in float32 and stores s rounded to bf16 (off by up to 2^-9). A decoded value is
//  off
//    by s u(q), which is the rounding of the code, and by 2^-9 |value|, which is that of the scale. We store s rounded
//    up to bf16 (up to 2^-7 larger) and make codes with that: off by s' u(q') alone, with steps up to 2^-7 wider.
//  - tensors: COAT's scale is the largest of the bf16 scales of 1 x 16 groups, so up to 2^-9 off either way (a code may
//    saturate, by less than a step); ours is s in float32. Both are off by one rounding.
//  - COAT adds 1e-10 to absmax; we do not.
// So a value may differ by the sum of both bounds. In root mean square relative to its row, our error may exceed COAT's
// by what wider steps cost: 2^-7 in groups, 2^-8 in tensors. In groups there is one more thing: COAT's scale takes the
// largest value to fmax exactly, ours takes it up to 2^-7 below, where it is rounded up to fmax. Spread evenly, that
// adds 2^-14 / 3 to the squared error of rows that are mostly their groups' largest values.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <tuple>

#include "ops/gemm.h"
#include "ops/layer_norm.h"
#include "ops/swiglu.h"
#include "tests/support/golden_coat.h"

namespace coat {
namespace {

constexpr std::int64_t kWeightRows = 16;

// Quantization ----------------------------------------------------------------------------------------------------

TEST_F(GoldenCoatTest, QuantizesGroups) {
  struct Case {
    const char* name;
    DType dtype;
    int group;
    const char* input;
  };
  // COAT's last one had the later input.
  const Case cases[] = {
      {"quantize.E4M3.g16", DType::kE4M3, 16, "x.bf16"},   {"quantize.E4M3.g32", DType::kE4M3, 32, "x.bf16"},
      {"quantize.E4M3.g128", DType::kE4M3, 128, "x.bf16"}, {"quantize.E5M2.g16", DType::kE5M2, 16, "x.bf16"},
      {"quantize.E5M2.g64", DType::kE5M2, 64, "x.bf16"},   {"quantize.E5M2.g128", DType::kE5M2, 128, "x_later"}};
  for (const Case& test : cases) {
    const TensorView x = Load(test.input);
    const QuantizedView coat = LoadGroups(test.name, test.dtype, test.group);
    const QuantizedView ours = QuantizedAs(Format::PerGroup(test.dtype, test.group), x);
    ExpectWithin(test.name, ValuesIn(ours), ValuesIn(coat), CodeRounding(ours) + CoatGroupRounding(coat));
    ExpectGroupsAsAccurate(test.name, ValuesIn(ours), ValuesIn(coat), ValuesIn(x));
  }
}

TEST_F(GoldenCoatTest, DequantizesGroupsToTheSameBytes) {
  const TensorView y = Fresh(kShape, DType::kBF16);
  Dequantize(ctx_, {.x = LoadGroups("quantize.E4M3.g16", DType::kE4M3, 16), .y = y});
  EXPECT_EQ(std::memcmp(y.data(), Load("dequantize.E4M3.g16.y").data(), static_cast<std::size_t>(y.bytes())), 0);
}

TEST_F(GoldenCoatTest, QuantizesTensorsAndTheirTransposes) {
  for (const auto& [name, dtype, input] : {std::tuple("pertensor_t.E4M3", DType::kE4M3, "x.bf16"),
                                           std::tuple("pertensor_t.E5M2", DType::kE5M2, "x_later")}) {
    const TensorView x = Load(input);
    const QuantizedView coat = LoadTensor(name, dtype);
    const QuantizedView ours = Fresh(kShape, Format::PerTensor(dtype));
    const QuantizedView ours_t = Fresh({kWidth, kRows}, Format::PerTensor(dtype));
    Quantize(ctx_, {.x = x, .absmax = AbsMaxOf(x), .y = ours, .y_t = ours_t});
    EXPECT_NEAR(ValueAt(ours.scales, 0) / ValueAt(coat.scales, 0), 1.0, 0x1p-8) << name;
    ExpectWithin(name, ValuesIn(ours), ValuesIn(coat), CodeRounding(ours) + CodeRounding(coat));
    ExpectAsAccurate(name, ValuesIn(ours), ValuesIn(coat), ValuesIn(x));
    // Transposing moves bytes: ours of our codes, and of COAT's codes to COAT's.
    const TensorView turned = Fresh({kWidth, kRows}, dtype);
    TransposeCodes(ctx_, {.x = ours.codes, .y = turned});
    EXPECT_EQ(std::memcmp(turned.data(), ours_t.codes.data(), static_cast<std::size_t>(turned.bytes())), 0) << name;
    TransposeCodes(ctx_, {.x = coat.codes, .y = turned});
    EXPECT_EQ(
        std::memcmp(turned.data(), Load(std::string(name) + ".qt").data(), static_cast<std::size_t>(turned.bytes())), 0)
        << name;
  }
}

TEST_F(GoldenCoatTest, QuantizesWeights) {
  // COAT's scale of a weight is float32 too, (absmax + 1e-10) / 448, and its codes are W / s: ours W * (1 / s) may
  // round to the other neighbor where W / s lies within 2 units of roundoff of a tie.
  const TensorView w = Load("W.f32");
  const QuantizedView coat = LoadTensor("wq", DType::kE4M3);
  const QuantizedView ours = QuantizedAs(Format::PerTensor(DType::kE4M3), w);
  EXPECT_NEAR(ValueAt(ours.scales, 0) / ValueAt(coat.scales, 0), 1.0, 2e-9 + 0x1p-23);
  int different = 0;
  for (std::int64_t i = 0; i < w.elements(); ++i) different += ValueAt(ours.codes, i) != ValueAt(coat.codes, i);
  EXPECT_LE(different, w.elements() / 1000);
  ExpectWithin("wq", ValuesIn(ours), ValuesIn(coat), CodeRounding(ours) + CodeRounding(coat));
  EXPECT_LE(RelativeError(ValuesIn(ours), ValuesIn(w)), RelativeError(ValuesIn(coat), ValuesIn(w)) * (1.0 + 0x1p-20));
}

// LayerNorm -------------------------------------------------------------------------------------------------------

/// LayerNorm of rows in double. The squares of the first rows overflow float32, which makes rstd 0 in COAT as in ours.
struct ExactNorm {
  Values mean, rstd, mean_magnitude, y;

  explicit ExactNorm(const Values& x) : y(x.size()) {
    for (std::size_t row = 0; row < kRows; ++row) {
      double sum = 0.0, magnitude = 0.0, squares = 0.0;
      for (std::size_t i = row * kWidth; i < (row + 1) * kWidth; ++i) {
        sum += x[i] / kWidth;
        magnitude += std::abs(x[i]) / kWidth;
      }
      for (std::size_t i = row * kWidth; i < (row + 1) * kWidth; ++i) squares += (x[i] - sum) * (x[i] - sum) / kWidth;
      mean.push_back(sum);
      mean_magnitude.push_back(magnitude);
      rstd.push_back(squares > 0x1p128 ? 0.0 : 1.0 / std::sqrt(squares + 1e-5));
      for (std::size_t i = row * kWidth; i < (row + 1) * kWidth; ++i) y[i] = (x[i] - sum) * rstd.back();
    }
  }
  /// How far the statistics in float32, summed in any order, may move y.
  Values StatisticsError() const {
    return Each(y.size(), [&](std::size_t i) {
      return kSumError * (std::abs(y[i]) + mean_magnitude[i / kWidth] * rstd[i / kWidth]);
    });
  }
};

TEST_F(GoldenCoatTest, NormalizesRows) {
  // COAT's LayerNorm reads the stream from FP8; ours reads the exact stream, so it is given the decoded values.
  const Values x = ValuesIn(LoadGroups("in", DType::kE4M3, 16));
  const ExactNorm exact(x);
  const TensorView stream = InFloat("stream", x, kShape);
  const TensorView mean = Fresh({kRows}, DType::kF32);
  const TensorView rstd = Fresh({kRows}, DType::kF32);
  const TensorView absmax = Fresh({1}, DType::kF32);
  AddLayerNorm(ctx_, {.x = stream, .mean = mean, .rstd = rstd, .absmax = absmax});
  ExpectWithin("mean", ValuesIn(mean), ValuesIn(Load("ln.mean")),
               Each(kRows, [&](std::size_t i) { return 2.0 * kSumError * exact.mean_magnitude[i]; }));
  ExpectWithin("rstd", ValuesIn(rstd), ValuesIn(Load("ln.rstd")),
               Each(kRows, [&](std::size_t i) { return 2.0 * kSumError * exact.rstd[i]; }));

  const QuantizedView ours = Fresh(kShape, Format::PerTensor(DType::kE4M3));
  NormalizeQuantize(ctx_, {.x = stream, .mean = mean, .rstd = rstd, .absmax = absmax, .y = ours});
  const QuantizedView coat = LoadTensor("ln", DType::kE4M3);
  const Values statistics = exact.StatisticsError();
  ExpectWithin("ln", ValuesIn(ours), ValuesIn(coat), CodeRounding(ours) + CodeRounding(coat) + statistics + statistics);
  ExpectAsAccurate("ln", ValuesIn(ours), ValuesIn(coat), exact.y);
}

TEST_F(GoldenCoatTest, DifferentiatesLayerNorm) {
  const ExactNorm exact(ValuesIn(LoadGroups("in", DType::kE4M3, 16)));
  const TensorView d_y = Load("g.bf16");
  const Values d = ValuesIn(d_y);
  const Values coat = ValuesIn(Load("ln_bwd.dx"));
  const TensorView rstd = InFloat("rstd", exact.rstd, {kRows});
  const auto backward = [&](const ConstQuantizedView& y) {
    const TensorView d_x = Fresh(kShape, DType::kBF16);
    LayerNormBackward(ctx_, {.y = y, .rstd = rstd, .d_y = d_y, .d_x = d_x, .overwrite = true});
    return ValuesIn(d_x);
  };
  // The exact gradient, the float32 errors of either side with a rounding to bf16, and what an error of y adds.
  const QuantizedView kept = LoadTensor("ln", DType::kE4M3);
  const Values kept_y = ValuesIn(kept);
  Values gradient(d.size()), float_error(d.size()), kept_error(d.size());
  for (std::size_t row = 0; row < kRows; ++row) {
    double mean_d = 0.0, mean_dy = 0.0, mean_d_magnitude = 0.0, mean_dy_magnitude = 0.0, mean_d_error = 0.0;
    for (std::size_t i = row * kWidth; i < (row + 1) * kWidth; ++i) {
      mean_d += d[i] / kWidth;
      mean_dy += d[i] * exact.y[i] / kWidth;
      mean_d_magnitude += std::abs(d[i]) / kWidth;
      mean_dy_magnitude += std::abs(d[i] * exact.y[i]) / kWidth;
      mean_d_error += std::abs(d[i] * (kept_y[i] - exact.y[i])) / kWidth;
    }
    for (std::size_t i = row * kWidth; i < (row + 1) * kWidth; ++i) {
      gradient[i] = (d[i] - mean_d - exact.y[i] * mean_dy) * exact.rstd[row];
      const double magnitude = std::abs(d[i]) + mean_d_magnitude + std::abs(exact.y[i]) * mean_dy_magnitude;
      float_error[i] = 4.0 * kSumError * magnitude * exact.rstd[row] + 2.0 * HalfUlp(DType::kBF16, coat[i]);
      kept_error[i] = (std::abs(kept_y[i] - exact.y[i]) * (mean_dy_magnitude + mean_d_error) +
                       std::abs(exact.y[i]) * mean_d_error) *
                      exact.rstd[row];
    }
  }
  const Values from_float = backward(AsPlain(InFloat("normalized", exact.y, kShape)));
  ExpectWithin("ln_bwd from y in f32", from_float, coat, float_error);
  ExpectAsAccurate("ln_bwd", from_float, coat, gradient);
  // We keep y in FP8 instead of the FP8 input beside it: less memory, for an error that stays that of y's codes.
  ExpectWithin("ln_bwd from y in FP8", backward(kept), coat, float_error + kept_error);
  EXPECT_LE(RelativeError(backward(kept), gradient), 0x1p-4);
}

// SwiGLU ----------------------------------------------------------------------------------------------------------

double ExactSilu(double x) {
  return x > 0.0 ? x / (1.0 + std::exp(-x)) : x * std::exp(x) / (1.0 + std::exp(x));
}

/// [N, 2F] of up and gate side by side.
Values SideBySide(const Values& up, const Values& gate) {
  return Each(2 * up.size(), [&](std::size_t i) {
    const std::size_t column = i % (2 * kWidth);
    const std::size_t row = i / (2 * kWidth) * kWidth;
    return column < kWidth ? up[row + column] : gate[row + column - kWidth];
  });
}

TEST_F(GoldenCoatTest, ComputesSiluAndItsGradient) {
  // SwiGLU of up = 1 is SiLU; its gradient of gate is SiLU's.
  const Values gate = ValuesIn(LoadGroups("in", DType::kE4M3, 16));
  const TensorView up_gate = InFloat("up_gate", SideBySide(Values(gate.size(), 1.0), gate), {kRows, 2 * kWidth});
  const TensorView silu = Fresh(kShape, DType::kF32);
  const TensorView d_up_gate = Fresh({kRows, 2 * kWidth}, DType::kF32);
  const TensorView d_product = InFloat("g in float", ValuesIn(Load("g.bf16")), kShape);
  SwigluBackward(ctx_, {.up_gate = up_gate, .d_product = d_product, .d_up_gate = d_up_gate, .product = silu});

  const Values exact = Each(gate.size(), [&](std::size_t i) { return ExactSilu(gate[i]); });
  const QuantizedView coat = LoadGroups("silu", DType::kE4M3, 16);
  const Values float_error =
      Each(gate.size(), [&](std::size_t i) { return 8.0 * kFloatRoundoff * std::abs(exact[i]); });
  ExpectWithin("silu", ValuesIn(silu), ValuesIn(coat), CoatGroupRounding(coat) + float_error + float_error);
  // In groups as COAT keeps it, ours is as good.
  const QuantizedView ours = QuantizedAs(Format::PerGroup(DType::kE4M3, 16), silu);
  ExpectGroupsAsAccurate("silu", ValuesIn(ours), ValuesIn(coat), exact);

  const Values d_gate = Each(gate.size(), [&](std::size_t i) {
    return ValueAt(d_up_gate, static_cast<std::int64_t>(i / kWidth * 2 * kWidth + kWidth + i % kWidth));
  });
  const Values coat_d_gate = ValuesIn(Load("silu_bwd.dx"));
  ExpectWithin("silu_bwd", d_gate, coat_d_gate, Each(gate.size(), [&](std::size_t i) {
                 // Float32 errors of sigmoid (1 + |gate|) on either side, and COAT's rounding to bf16.
                 const double magnitude = std::abs(ValueAt(d_product, static_cast<std::int64_t>(i)));
                 return 16.0 * kFloatRoundoff * magnitude * (1.0 + std::min(std::abs(gate[i]), 128.0)) +
                        HalfUlp(DType::kBF16, coat_d_gate[i]);
               }));
}

TEST_F(GoldenCoatTest, MultipliesAndQuantizesTheProduct) {
  const Values gate = ValuesIn(LoadGroups("in", DType::kE4M3, 16));
  const Values up = ValuesIn(LoadGroups("up", DType::kE4M3, 16));
  const QuantizedView ours = Fresh(kShape, Format::PerTensor(DType::kE4M3));
  SwigluQuantizeForward(ctx_, {.up_gate = InFloat("up_gate", SideBySide(up, gate), {kRows, 2 * kWidth}),
                               .saved_up_gate = Fresh({kRows, 2 * kWidth}, Format::PerGroup(DType::kE4M3, 16)),
                               .product = ours,
                               .absmax = Fresh({1}, DType::kF32)});
  // COAT multiplies up by silu as coded and rounds the product to bf16 before it is coded; we do neither.
  const QuantizedView coat = LoadTensor("mul", DType::kE4M3);
  const Values silu_rounding = CoatGroupRounding(LoadGroups("silu", DType::kE4M3, 16));
  const Values exact = Each(gate.size(), [&](std::size_t i) { return ExactSilu(gate[i]) * up[i]; });
  const Values before_coding = Each(gate.size(), [&](std::size_t i) {
    return std::abs(up[i]) * silu_rounding[i] * (1.0 + 0x1p-8) + std::abs(exact[i]) * 0x1p-8;
  });
  ExpectWithin("mul", ValuesIn(ours), ValuesIn(coat), CodeRounding(ours) + CodeRounding(coat) + before_coding);
  // Ours is off by the rounding of its codes and by float32 alone.
  ExpectWithin("our product", ValuesIn(ours), exact, CodeRounding(ours) + Each(exact.size(), [&](std::size_t i) {
                                                       return 8.0 * kFloatRoundoff * std::abs(exact[i]);
                                                     }));
  const TensorView turned = Fresh({kWidth, kRows}, DType::kE4M3);
  TransposeCodes(ctx_, {.x = coat.codes, .y = turned});
  EXPECT_EQ(std::memcmp(turned.data(), Load("mul.qt").data(), static_cast<std::size_t>(turned.bytes())), 0);
}

// Residual adds ---------------------------------------------------------------------------------------------------

TEST_F(GoldenCoatTest, AddsTheResidual) {
  const TensorView x = Load("x_later");
  const Values sum = ValuesIn(x) + ValuesIn(Load("res.bf16"));
  const TensorView statistics = Fresh({2 * kRows}, DType::kF32);
  AddLayerNorm(
      ctx_,
      {.x = x, .branch = Load("res.bf16"), .mean = statistics.Rows(0, kRows), .rstd = statistics.Rows(kRows, kRows)});
  EXPECT_EQ(std::memcmp(x.data(), Load("add_fwd.fp").data(), static_cast<std::size_t>(x.bytes())), 0);
  // COAT also codes the float32 sum.
  const QuantizedView coat = LoadGroups("add_fwd", DType::kE4M3, 16);
  const QuantizedView ours = QuantizedAs(Format::PerGroup(DType::kE4M3, 16), InFloat("sum", sum, kShape));
  ExpectWithin("add_fwd", ValuesIn(ours), ValuesIn(coat), CodeRounding(ours) + CoatGroupRounding(coat));
  ExpectGroupsAsAccurate("add_fwd", ValuesIn(ours), ValuesIn(coat), sum);
}

TEST_F(GoldenCoatTest, AddsGradients) {
  // The residual's gradient was a thousandth of `res`, in bf16.
  const TensorView gradient = Fresh(kShape, DType::kBF16);
  const Values residual = ValuesIn(Load("res.bf16"));
  for (std::int64_t i = 0; i < gradient.elements(); ++i) {
    SetValue(gradient, i, RoundedTo(DType::kF32, residual[static_cast<std::size_t>(i)] * 1e-3));
  }
  const TensorView statistics = Fresh({2 * kRows}, DType::kF32);
  AddLayerNorm(ctx_, {.x = gradient,
                      .branch = Load("g.bf16"),
                      .mean = statistics.Rows(0, kRows),
                      .rstd = statistics.Rows(kRows, kRows)});
  EXPECT_EQ(std::memcmp(gradient.data(), Load("add_bwd.fp").data(), static_cast<std::size_t>(gradient.bytes())), 0);
  const QuantizedView coat = LoadTensor("add_bwd", DType::kE5M2);
  const QuantizedView ours = QuantizedAs(Format::PerTensor(DType::kE5M2), gradient);
  ExpectWithin("add_bwd", ValuesIn(ours), ValuesIn(coat), CodeRounding(ours) + CodeRounding(coat));
  ExpectAsAccurate("add_bwd", ValuesIn(ours), ValuesIn(coat), ValuesIn(gradient));
}

// Linear layer ----------------------------------------------------------------------------------------------------

TEST_F(GoldenCoatTest, MultipliesByTheWeight) {
  // COAT's codes of this input were not recorded; they are ours under COAT's scale, the largest of the groups' in bf16.
  const TensorView x = Load("x_later");
  const double absmax = ValueAt(AbsMaxOf(x), 0);
  const double coat_scale = RoundedTo(DType::kBF16, absmax / 448.0);
  const QuantizedView a = Fresh(kShape, Format::PerTensor(DType::kE4M3));
  Quantize(ctx_, {.x = x, .absmax = InFloat("absmax", {448.0 * coat_scale}, {1}), .y = a});
  const QuantizedView b = LoadTensor("wq", DType::kE4M3);
  const TensorView product = Fresh({kRows, kWeightRows}, DType::kF32);
  Gemm(ctx_, {.a = a, .b = b, .d = product});

  // Ours is off by float32 sums; COAT's by the tensor cores' 16 additions of 32 products, each of which keeps 14 bits
  // of the largest term, and by a rounding to bf16.
  const Values coat = ValuesIn(Load("lin_fwd.y"));
  const Values a_values = ValuesIn(a);
  const Values b_values = ValuesIn(b);
  const Values sum_error = Each(coat.size(), [&](std::size_t i) {
    double magnitude = 0.0;
    for (std::size_t k = 0; k < kWidth; ++k) {
      magnitude += std::abs(a_values[i / kWeightRows * kWidth + k] * b_values[i % kWeightRows * kWidth + k]);
    }
    return (kSumError + 16.0 * 0x1p-13) * magnitude;
  });
  ExpectWithin("lin_fwd", ValuesIn(product), coat,
               sum_error + Each(coat.size(), [&](std::size_t i) { return HalfUlp(DType::kBF16, coat[i]); }));
  // The same sums, coded in groups of 16.
  const QuantizedView coat_groups = LoadGroups("lin_fwd_q", DType::kE4M3, 16);
  ExpectWithin("lin_fwd_q", ValuesIn(QuantizedAs(Format::PerGroup(DType::kE4M3, 16), product)), ValuesIn(coat_groups),
               sum_error + CodeRounding(QuantizedAs(Format::PerGroup(DType::kE4M3, 16), product)) +
                   CoatGroupRounding(coat_groups));
}

}  // namespace
}  // namespace coat
