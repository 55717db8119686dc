#include "ops/coat_adamw.h"

#include <algorithm>
#include <bit>

#include "base/divide.h"
#include "cpu/absmax.h"
#include "cpu/lanes.h"
#include "numerics/bfloat16.h"
#include "numerics/expansion.h"
#include "ops/visit.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kLargestGroup = 256;
constexpr std::int64_t kElements = 1 << 13;  // elements a task

/// A group's place in the tensor, and the index of its metadata.
struct Span {
  std::int64_t begin;
  std::int64_t count;
  std::int64_t group;
};

/// The smallest |x| that is not 0, by its bits; an unsigned maximum of 2^32 - 1 if there is none.
float SmallestNonZero(const float* x, std::int64_t count) {
  std::uint32_t smallest = 0xffffffffu;
  for (std::int64_t i = 0; i < count; ++i) {
    // 0 wraps to the largest number.
    const std::uint32_t below = (std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu) - 1u;
    smallest = smallest < below ? smallest : below;
  }
  return std::bit_cast<float>(smallest + 1u);
}

// Loops over codes are over local values only: a store through an 8-bit pointer could change anything else.

template <class F>
void DecodeGroup(const ExpandedMoment& moment, Span span, float* __restrict values) {
  const std::uint8_t* __restrict codes = moment.codes.As<std::uint8_t>() + span.begin;
  const float absmax = moment.absmax.As<float>()[span.group];
  if (!moment.exponent) {
    for (std::int64_t i = 0; i < span.count; ++i) values[i] = DecodeUnexpanded<F>(codes[i], absmax);
    return;
  }
  const float reciprocal = 1.0f / moment.exponent.As<float>()[span.group];
  for (std::int64_t i = 0; i < span.count; ++i) values[i] = DecodeExpanded<F>(codes[i], absmax, reciprocal);
}

template <class F>
void EncodeGroup(const ExpandedMoment& moment, Span span, float expand_min, const float* __restrict values) {
  std::uint8_t* __restrict codes = moment.codes.As<std::uint8_t>() + span.begin;
  const float absmax = LaneAbsMax(span.count, 0.0f, [values](std::int64_t i) { return values[i]; });
  moment.absmax.As<float>()[span.group] = absmax;
  if (!moment.exponent) {
    for (std::int64_t i = 0; i < span.count; ++i) codes[i] = EncodeUnexpanded<F>(values[i], absmax);
    return;
  }
  const float absmin = absmax == 0.0f ? 0.0f : SmallestNonZero(values, span.count);
  const float exponent = ExpansionExponent<F>(absmax, absmin, expand_min);
  moment.exponent.As<float>()[span.group] = exponent;
  const Log2Parts log2_absmax = SplitLog2(absmax);
  for (std::int64_t i = 0; i < span.count; ++i) codes[i] = EncodeExpanded<F>(values[i], log2_absmax, exponent);
}

void Decode(const ExpandedMoment& moment, const Span& span, float* values) {
  VisitFp8(moment.codes.dtype(), [&]<class F>() { DecodeGroup<F>(moment, span, values); });
}

void Encode(const ExpandedMoment& moment, const Span& span, float expand_min, const float* values) {
  VisitFp8(moment.codes.dtype(), [&]<class F>() { EncodeGroup<F>(moment, span, expand_min, values); });
}

// The scalars come by value: a reference could alias what is written, and the loop would not vectorize.
template <class T>
void UpdateGroup(AdamWScalars scalars, float grad_scale, std::int64_t count, const T* __restrict grads,
                 float* __restrict param, float* __restrict exp_avg, float* __restrict exp_avg_sq) {
  for (std::int64_t i = 0; i < count; ++i) {
    const AdamWElement next =
        AdamWUpdate(scalars, {param[i], exp_avg[i], exp_avg_sq[i]}, ToFloat(grads[i]) * grad_scale);
    param[i] = next.param;
    exp_avg[i] = next.exp_avg;
    exp_avg_sq[i] = next.exp_avg_sq;
  }
}

void UpdateTensor(Context& ctx, const CoatAdamWArgs& args, std::size_t t) {
  const CoatAdamWTensor& tensor = args.tensors[t];
  std::optional<SharedAbsMax> absmax = AbsMaxOfTensor(args.absmax, t);
  const AdamWScalars scalars(args.settings, tensor.weight_decay);
  const float grad_scale = tensor.grad_scale ? *tensor.grad_scale.As<float>() : 1.0f;
  const auto expand_min = static_cast<float>(args.expand_min);
  const std::int64_t elements = tensor.param.elements();
  const std::int64_t groups = DivideUp(elements, args.group);
  VisitPlain(tensor.grad.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(groups, kElements / args.group, [&](std::int64_t first, std::int64_t last) {
      alignas(64) float exp_avg[kLargestGroup];
      alignas(64) float exp_avg_sq[kLargestGroup];
      float largest = 0.0f;
      for (std::int64_t group = first; group < last; ++group) {
        const std::int64_t begin = group * args.group;
        const Span span = {begin, std::min(args.group, elements - begin), group};
        Decode(tensor.exp_avg, span, exp_avg);
        Decode(tensor.exp_avg_sq, span, exp_avg_sq);
        UpdateGroup(scalars, grad_scale, span.count, tensor.grad.As<T>() + begin, tensor.param.As<float>() + begin,
                    exp_avg, exp_avg_sq);
        Encode(tensor.exp_avg, span, expand_min, exp_avg);
        Encode(tensor.exp_avg_sq, span, expand_min, exp_avg_sq);
        const float* param = tensor.param.As<float>() + begin;
        if (absmax) largest = LaneAbsMax(span.count, largest, [=](std::int64_t i) { return param[i]; });
      }
      if (absmax) absmax->Report(largest);
    });
  });
}

}  // namespace

void CoatAdamW(Context& ctx, const CoatAdamWArgs& args) {
  for (std::size_t t = 0; t < args.tensors.size(); ++t) UpdateTensor(ctx, args, t);
}

}  // namespace coat::cpu
