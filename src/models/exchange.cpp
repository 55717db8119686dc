#include "models/exchange.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "ops/cast.h"
#include "ops/fill.h"
#include "ops/quantize.h"

namespace coat {

namespace {

std::size_t UnitOf(const Parameter& parameter) {
  if (parameter.kind == ParameterKind::kEmbedding) return Exchange::kEmbedding;
  return parameter.layer < 0 ? Exchange::kHead : Exchange::Block(static_cast<std::size_t>(parameter.layer));
}

/// Elements in rows that kernels like: of 128, or all in one.
TensorView InRows(TensorView x) {
  constexpr std::int64_t kWidth = 128;
  const std::int64_t count = x.elements();
  return count % kWidth == 0 ? x.Reshaped({count / kWidth, kWidth}) : x.Reshaped({1, count});
}

}  // namespace

Format GatheredFormat(ParameterKind kind, const Recipe& recipe) {
  switch (kind) {
    case ParameterKind::kNormWeight:
      return Format::Plain(DType::kF32);
    case ParameterKind::kEmbedding:
    case ParameterKind::kHeadWeight:
      return Format::Plain(recipe.compute);
    case ParameterKind::kLinearWeight:
      break;
  }
  return recipe.weight.scaling == Scaling::kBlock128 ? Format::Plain(DType::kF32) : recipe.weight;
}

Exchange::Exchange(const Sharding& sharding, const Recipe& recipe) : sharding_(sharding), recipe_(recipe) {
  if (!sharding_.Alone()) return;
  sharding_.gathers_at_use = false;
  sharding_.reduces_micro_batches = false;
}

void Exchange::LayOut(std::span<Parameter> parameters, Arena& masters, Arena& gradients, Arena& weights,
                      Arena& exchange) {
  for (Parameter& parameter : parameters) {
    Shape kept = parameter.shape;
    if (sharding_.InParts()) {
      parameter.part =
          PartOf(parameter.shape.elements(), sharding_.unit, sharding_.shards->rank(), sharding_.shard_count());
      kept = {parameter.part.count};
    }
    parameter.value = masters.Tensor(parameter.name, kept, DType::kF32);
    parameter.grad = gradients.Tensor(parameter.name, kept, recipe_.gradient);
    parameter.local_grad = parameter.grad;
  }
  parameters_ = parameters;
  LayOutUnits(/*with_gradients=*/true, weights, exchange);
}

void Exchange::LayOutOperands(std::span<Parameter> parameters, Arena& weights, Arena& exchange) {
  parameters_ = parameters;
  LayOutUnits(/*with_gradients=*/false, weights, exchange);
}

void Exchange::LayOutUnits(bool with_gradients, Arena& weights, Arena& exchange) {
  units_.clear();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::size_t unit = UnitOf(parameters_[i]);
    if (units_.size() <= unit) units_.resize(unit + 1);
    units_[unit].push_back(i);
  }
  BeginPass();
  // Embedding and head are used one after the other, so they share memory, unless they share the weight.
  outer_units_take_turns_ = std::any_of(parameters_.begin(), parameters_.end(),
                                        [](const Parameter& x) { return x.kind == ParameterKind::kHeadWeight; });
  {
    std::optional<Arena::Scope> until_head;
    if (outer_units_take_turns_) until_head.emplace(exchange);
    LayOutUnit(kEmbedding, with_gradients, weights, exchange);
  }
  LayOutUnit(kHead, with_gradients, weights, exchange);
  // Two layers at a time; the first two come last and keep the memory.
  const std::size_t layers = units_.size() - Block(0);
  for (std::size_t pair = (layers + 1) / 2; pair-- > 0;) {
    std::optional<Arena::Scope> until_next;
    if (pair > 0) until_next.emplace(exchange);
    for (std::size_t layer = 2 * pair; layer < layers && layer < 2 * pair + 2; ++layer) {
      LayOutUnit(Block(layer), with_gradients, weights, exchange);
    }
  }
}

void Exchange::LayOutUnit(std::size_t unit, bool with_gradients, Arena& weights, Arena& exchange) {
  for (const std::size_t i : units_[unit]) {
    Parameter& parameter = parameters_[i];
    if (sharding_.InParts()) {
      Arena& arena = sharding_.gathers_at_use ? exchange : weights;
      parameter.operand =
          arena.Quantized(parameter.name + ".gathered", parameter.shape, GatheredFormat(parameter.kind, recipe_));
    }
    if (with_gradients && sharding_.reduces_micro_batches) {
      parameter.local_grad = exchange.Tensor(parameter.name + ".gradient", parameter.shape, sharding_.reduction);
    }
  }
}

void Exchange::ReduceMagnitudes(Context& ctx, TensorView magnitudes) const {
  if (sharding_.InParts()) sharding_.shards->AllReduce(ctx, std::span(&magnitudes, 1), Reduction::kMax);
}

void Exchange::GatherForStep(Context& ctx) const {
  if (sharding_.InParts() && !sharding_.gathers_at_use) GatherUnits(ctx, 0, units_.size());
}

void Exchange::BeginPass(bool continues) {
  under_way_.assign(units_.size(), {});
  if (!continues || sharding_.Alone()) return;
  // Backward has used the first two layers last, and the head's weight after the embedding.
  under_way_[kEmbedding].gathered = !outer_units_take_turns_;
  under_way_[kHead].gathered = true;
  for (std::size_t unit = Block(0); unit < units_.size() && unit <= Block(1); ++unit) under_way_[unit].gathered = true;
}

bool Exchange::TakeTurns(std::size_t a, std::size_t b) const {
  if (a == b) return true;
  if (a < Block(0) || b < Block(0)) return outer_units_take_turns_ && a < Block(0) && b < Block(0);
  return a % 2 == b % 2;
}

void Exchange::Prefetch(Context& ctx, std::size_t unit) {
  if (!sharding_.gathers_at_use || under_way_[unit].gathered) return;
  for (std::size_t other = 0; other < units_.size(); ++other) {
    if (TakeTurns(unit, other)) under_way_[other].gathered = false;
  }
  under_way_[unit].gathered = true;
  under_way_[unit].gather = ctx.Beside([this, &ctx, unit] { GatherUnits(ctx, unit, unit + 1); });
}

void Exchange::Use(Context& ctx, std::size_t unit, std::size_t next) {
  if (!sharding_.InParts()) return;
  Prefetch(ctx, unit);
  ctx.WaitFor(under_way_[unit].gather);
  Prefetch(ctx, next);
}

void Exchange::BeginBackward(Context& ctx, std::size_t unit) {
  for (std::size_t other = 0; other < units_.size(); ++other) {
    if (TakeTurns(unit, other)) ctx.WaitFor(under_way_[other].reduce);
  }
}

void Exchange::Reduce(Context& ctx, std::size_t unit, bool first) {
  if (!sharding_.reduces_micro_batches) return;
  if (std::find(kLast.begin(), kLast.end(), unit) == kLast.end()) return StartToReduce(ctx, unit, first);
  if (!first) return;
  // A recorded pass does not know whose gradients it finds, so it adds them.
  for (const std::size_t i : units_[unit]) Fill(ctx, {.x = parameters_[i].grad, .value = 0.0f});
}

void Exchange::StartToReduce(Context& ctx, std::size_t unit, bool first) {
  under_way_[unit].reduce = ctx.Beside([this, &ctx, unit, first] { ReduceUnit(ctx, unit, first); });
}

void Exchange::ReduceLeft(Context& ctx) {
  if (!sharding_.reduces_micro_batches) return;
  for (const std::size_t unit : kLast) StartToReduce(ctx, unit, /*first=*/false);
}

void Exchange::EndPass(Context& ctx) {
  for (const UnderWay& of_unit : under_way_) {
    ctx.WaitFor(of_unit.gather);
    ctx.WaitFor(of_unit.reduce);
  }
}

void Exchange::GatherUnits(Context& ctx, std::size_t begin, std::size_t end) const {
  std::vector<SharedTensor> tensors;
  for (std::size_t unit = begin; unit < end; ++unit) {
    for (const std::size_t i : units_[unit]) {
      MakePart(ctx, parameters_[i]);
      tensors.push_back({parameters_[i].operand.codes, sharding_.unit});
    }
  }
  sharding_.shards->AllGather(ctx, tensors);
}

void Exchange::MakePart(Context& ctx, const Parameter& parameter) const {
  const TensorView value = InRows(parameter.value);
  const TensorView codes = InRows(ViewOf(parameter.operand.codes, parameter.part));
  const Format& format = parameter.operand.format;
  if (format.scaling == Scaling::kNone) {
    Cast(ctx, {.x = value, .y = codes});
  } else {
    Quantize(ctx, {.x = value, .absmax = parameter.absmax, .y = {codes, parameter.operand.scales, format}});
  }
}

void Exchange::ReduceUnit(Context& ctx, std::size_t unit, bool first) const {
  std::vector<SharedTensor> wholes;
  std::vector<TensorView> parts;
  for (const std::size_t i : units_[unit]) {
    const Parameter& parameter = parameters_[i];
    wholes.push_back({parameter.local_grad, sharding_.unit});
    parts.push_back(ViewOf(parameter.local_grad, {parameter.part.first, parameter.value.elements()}));
  }
  if (sharding_.InParts()) sharding_.shards->ReduceScatter(ctx, wholes);
  if (sharding_.replica_count() > 1) sharding_.replicas->AllReduce(ctx, parts, Reduction::kSum);
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const TensorView sum = ViewOf(parameters_[units_[unit][k]].grad, {0, parts[k].elements()});
    Cast(ctx, {.x = parts[k], .y = sum, .accumulate = !first});
  }
}

void Exchange::ReduceStep(Context& ctx) const {
  if (sharding_.reduces_micro_batches) {
    for (const std::size_t unit : kLast) ReduceUnit(ctx, unit, /*first=*/false);
    return;
  }
  if (sharding_.replica_count() == 1) return;
  std::vector<TensorView> gradients;
  for (const Parameter& parameter : parameters_) gradients.push_back(parameter.grad);
  sharding_.replicas->AllReduce(ctx, gradients, Reduction::kSum);
}

}  // namespace coat
