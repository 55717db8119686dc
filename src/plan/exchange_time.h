#pragma once

#include <cstdint>
#include <span>

#include "models/sharding.h"
#include "nn/parameter.h"
#include "plan/gpu.h"
#include "plan/network.h"
#include "recipes/recipe.h"

namespace coat {

/// What ranks tell one another of a layer, in bytes, as Exchange (models/exchange.h) lays it out.
struct UnitBytes {
  std::int64_t gathered = 0;       // its operands, in the formats in which they travel
  std::int64_t reduced = 0;        // its gradients, in the type in which they are summed
  std::int64_t elements = 0;       // parameters
  std::int64_t part_elements = 0;  // parameters of the first rank's part, the largest
  std::int64_t part_gathered = 0;  // bytes of that part's operands

  UnitBytes& operator+=(const UnitBytes& other);
};

/// The layers of a model: all blocks are alike.
struct ModelBytes {
  UnitBytes embedding, head, block;  // head: its weight, unless it is the embedding's, and the final norm
  std::int64_t layers = 0;
  std::int64_t tensors = 0;

  UnitBytes Whole() const;
};
ModelBytes BytesOf(std::span<const Parameter> parameters, const Recipe& recipe, const Sharding& sharding);

/// Seconds of what ranks tell one another, predicted.
class ExchangeTime {
 public:
  /// `sharding` must stay valid.
  ExchangeTime(const Sharding& sharding, const Recipe& recipe, const Interconnect& interconnect, const Rates& rates);

  /// Making the operands of a rank's part and gathering the others'. 0 where ranks share nothing.
  double Gather(const UnitBytes& unit) const;
  /// Summing the gradients of a micro-batch and adding them to those of the step.
  double Reduce(const UnitBytes& unit) const;
  /// At the end of a step, where micro-batches have not been summed.
  double ReduceStep(const UnitBytes& whole) const;
  /// The largest magnitudes of `tensors` tensors, or their gradients' norms.
  double Small(std::int64_t tensors) const;

 private:
  const Sharding& sharding_;
  const Recipe& recipe_;
  Interconnect interconnect_;
  double copy_;  // bytes a second
  RankSet shards_, replicas_;
};

}  // namespace coat
