#include "plan/exchange_time.h"

#include <algorithm>

#include "comm/partition.h"
#include "models/exchange.h"

namespace coat {

UnitBytes& UnitBytes::operator+=(const UnitBytes& other) {
  gathered += other.gathered;
  reduced += other.reduced;
  elements += other.elements;
  part_elements += other.part_elements;
  part_gathered += other.part_gathered;
  return *this;
}

UnitBytes ModelBytes::Whole() const {
  UnitBytes whole = embedding;
  whole += head;
  for (std::int64_t layer = 0; layer < layers; ++layer) whole += block;
  return whole;
}

ModelBytes BytesOf(std::span<const Parameter> parameters, const Recipe& recipe, const Sharding& sharding) {
  ModelBytes model;
  for (const Parameter& parameter : parameters) {
    const std::int64_t elements = parameter.shape.elements();
    const std::int64_t part = PartOf(elements, sharding.unit, 0, sharding.shard_count()).count;
    const std::int64_t operand = SizeOf(GatheredFormat(parameter.kind, recipe).dtype);
    const UnitBytes bytes = {.gathered = elements * operand,
                             .reduced = elements * SizeOf(sharding.reduction),
                             .elements = elements,
                             .part_elements = part,
                             .part_gathered = part * operand};
    ++model.tensors;
    if (parameter.kind == ParameterKind::kEmbedding) {
      model.embedding += bytes;
    } else if (parameter.layer < 0) {
      model.head += bytes;
    } else if (parameter.layer == 0) {
      model.block += bytes;
    }
    model.layers = std::max(model.layers, parameter.layer + 1);
  }
  return model;
}

ExchangeTime::ExchangeTime(const Sharding& sharding, const Recipe& recipe, const Interconnect& interconnect,
                           const Rates& rates)
    : sharding_(sharding),
      recipe_(recipe),
      interconnect_(interconnect),
      copy_(rates.copy),
      shards_{.size = sharding.shard_count(), .stride = 1, .groups = sharding.replica_count()},
      replicas_{.size = sharding.replica_count(), .stride = sharding.shard_count(), .groups = sharding.shard_count()} {}

double ExchangeTime::Gather(const UnitBytes& unit) const {
  if (!sharding_.InParts()) return 0.0;
  const auto made = static_cast<double>(unit.part_elements * SizeOf(DType::kF32) + unit.part_gathered);
  return made / copy_ + GatherSeconds(static_cast<double>(unit.gathered), shards_, interconnect_);
}

double ExchangeTime::Reduce(const UnitBytes& unit) const {
  if (sharding_.Alone()) return 0.0;
  const std::int64_t added = SizeOf(sharding_.reduction) + 2 * SizeOf(recipe_.gradient);
  const auto part = static_cast<double>(unit.part_elements * SizeOf(sharding_.reduction));
  return GatherSeconds(static_cast<double>(unit.reduced), shards_, interconnect_) +
         AllReduceSeconds(part, replicas_, interconnect_) + static_cast<double>(unit.part_elements * added) / copy_;
}

double ExchangeTime::ReduceStep(const UnitBytes& whole) const {
  const auto bytes = static_cast<double>(whole.part_elements * SizeOf(recipe_.gradient));
  return AllReduceSeconds(bytes, replicas_, interconnect_);
}

double ExchangeTime::Small(std::int64_t tensors) const {
  return AllReduceSeconds(static_cast<double>(tensors * SizeOf(DType::kF32)), shards_, interconnect_);
}

}  // namespace coat
