// CoatAdamW on the CPU: the same bytes as the three steps that it fuses.

#include "ops/coat_adamw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "numerics/expansion.h"
#include "ops/adamw.h"
#include "ops/cases/op_case.h"
#include "ops/visit.h"

namespace coat {
namespace {

constexpr AdamWSettings kSettings = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .step = 3};
constexpr double kWeightDecay = 0.1;

struct Storage {
  std::int64_t elements = 1;
  std::int64_t group = 128;
  DType first = DType::kE4M3;
  DType second = DType::kE4M3;
  bool expanded = true;
  std::int64_t expand_min = 16;
  Data data = Data::kHeavyTails;

  std::int64_t Groups() const { return (elements + group - 1) / group; }
};

ExpandedMoment MomentOf(const Operands& operands, const std::string& name, bool expanded) {
  return {operands[name], operands[name + ".absmax"], expanded ? operands[name + ".exponent"] : TensorView()};
}

/// Random codes of random groups; numbers from 0 on where the moment is a mean of squares.
void MakeMoment(Operands& operands, const std::string& name, const Storage& storage, DType format, bool is_signed) {
  const TensorView codes = operands.InOut(name, {storage.elements}, format, 1);
  const TensorView absmax = operands.InOut(name + ".absmax", {storage.Groups()}, DType::kF32, 1, storage.data);
  const TensorView exponent = operands.InOut(name + ".exponent", {storage.Groups()}, DType::kF32, 1);
  for (std::int64_t i = 0; !is_signed && i < storage.elements; ++i) codes.As<std::uint8_t>()[i] &= 0x7f;
  for (std::int64_t g = 0; g < storage.Groups(); ++g) {
    absmax.As<float>()[g] = std::abs(absmax.As<float>()[g]);
    const float steps = std::floor(std::abs(exponent.As<float>()[g]) * 10.0f) + 8.0f;
    exponent.As<float>()[g] = steps / static_cast<float>(storage.expand_min);
  }
}

void DecodeAll(const ExpandedMoment& moment, std::int64_t group, TensorView values) {
  VisitFp8(moment.codes.dtype(), [&]<class F>() {
    for (std::int64_t i = 0; i < values.elements(); ++i) {
      const std::uint8_t code = moment.codes.As<std::uint8_t>()[i];
      const float absmax = moment.absmax.As<float>()[i / group];
      values.As<float>()[i] = moment.exponent
                                  ? DecodeExpanded<F>(code, absmax, 1.0f / moment.exponent.As<float>()[i / group])
                                  : DecodeUnexpanded<F>(code, absmax);
    }
  });
}

void EncodeAll(const float* values, const Storage& storage, const ExpandedMoment& moment) {
  VisitFp8(moment.codes.dtype(), [&]<class F>() {
    for (std::int64_t g = 0; g < storage.Groups(); ++g) {
      const std::int64_t end = std::min((g + 1) * storage.group, storage.elements);
      float absmax = 0.0f;
      for (std::int64_t i = g * storage.group; i < end; ++i) absmax = std::max(absmax, std::abs(values[i]));
      float absmin = absmax;
      for (std::int64_t i = g * storage.group; i < end; ++i) {
        if (values[i] != 0.0f) absmin = std::min(absmin, std::abs(values[i]));
      }
      const float exponent = ExpansionExponent<F>(absmax, absmin, static_cast<float>(storage.expand_min));
      moment.absmax.As<float>()[g] = absmax;
      if (moment.exponent) moment.exponent.As<float>()[g] = exponent;
      for (std::int64_t i = g * storage.group; i < end; ++i) {
        moment.codes.As<std::uint8_t>()[i] = moment.exponent ? EncodeExpanded<F>(values[i], SplitLog2(absmax), exponent)
                                                             : EncodeUnexpanded<F>(values[i], absmax);
      }
    }
  });
}

void ExpectComposition(const Storage& storage) {
  Operands fused;
  fused.InOut("param", {storage.elements}, DType::kF32, 1);
  fused.Input("grad", {storage.elements}, DType::kF32, 1, storage.data);
  MakeMoment(fused, "exp_avg", storage, storage.first, true);
  MakeMoment(fused, "exp_avg_sq", storage, storage.second, false);
  fused.Input("grad_scale", {1}, DType::kF32, 1).As<float>()[0] = 0.3f;
  const Operands composed = fused.Clone();

  Context ctx(DeviceKind::kCpu, 2);
  const CoatAdamWTensor tensor = {.param = fused["param"],
                                  .grad = fused["grad"],
                                  .exp_avg = MomentOf(fused, "exp_avg", storage.expanded),
                                  .exp_avg_sq = MomentOf(fused, "exp_avg_sq", storage.expanded),
                                  .grad_scale = fused["grad_scale"],
                                  .weight_decay = kWeightDecay};
  CoatAdamW(ctx,
            {.tensors = {&tensor, 1}, .group = storage.group, .expand_min = storage.expand_min, .settings = kSettings});

  const ExpandedMoment first = MomentOf(composed, "exp_avg", storage.expanded);
  const ExpandedMoment second = MomentOf(composed, "exp_avg_sq", storage.expanded);
  Operands plain;
  const AdamWTensor decoded = {.param = composed["param"],
                               .grad = composed["grad"],
                               .exp_avg = plain.Output("m", {storage.elements}, DType::kF32),
                               .exp_avg_sq = plain.Output("v", {storage.elements}, DType::kF32),
                               .grad_scale = composed["grad_scale"],
                               .weight_decay = kWeightDecay};
  DecodeAll(first, storage.group, decoded.exp_avg);
  DecodeAll(second, storage.group, decoded.exp_avg_sq);
  AdamW(ctx, {.tensors = {&decoded, 1}, .settings = kSettings});
  EncodeAll(decoded.exp_avg.As<float>(), storage, first);
  EncodeAll(decoded.exp_avg_sq.As<float>(), storage, second);

  Checker checker;
  for (const Operands::Item& item : composed.items()) checker.Same(item.name, fused[item.name], item.tensor);
  EXPECT_EQ(checker.failed(), 0) << checker.report();
}

TEST(CoatAdamWOnTheCpu, GivesTheBytesOfDecodingUpdatingAndEncoding) {
  for (const Data data :
       {Data::kNormal, Data::kHeavyTails, Data::kOutliers, Data::kZeroGroups, Data::kTiny, Data::kHuge}) {
    for (const std::int64_t elements : {1, 127, 4789}) {
      ExpectComposition({.elements = elements, .data = data});
      ExpectComposition({.elements = elements, .group = 96, .first = DType::kE5M2, .expand_min = 3, .data = data});
      ExpectComposition({.elements = elements, .group = 256, .second = DType::kE5M2, .expanded = false, .data = data});
    }
  }
}

}  // namespace
}  // namespace coat
