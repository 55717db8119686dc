#pragma once

#include <vector>

namespace coat {

/// What a layer, the embedding or the head takes in a micro-batch, in seconds.
struct UnitTime {
  double forward = 0.0;  // of the head: all it does
  double backward = 0.0;
  double gather = 0.0;  // its weights, each time they are gathered
  double reduce = 0.0;  // its gradients
};

struct MicroBatchUnits {
  UnitTime embedding, head;
  std::vector<UnitTime> blocks;
  bool head_is_embedding = false;  // weight_tying
  double contention = 0.0;  // a layer's work takes so much longer, as a share of what a layer exchanges meanwhile
};

/// How long a micro-batch takes, and what for, in seconds.
struct MicroBatchTime {
  double total = 0.0;
  double compute = 0.0;  // of layers, with nothing beside them
  double slowed = 0.0;   // how much longer they take beside what is exchanged
  double gather = 0.0;   // of all gathers, hidden or not
  double reduce = 0.0;

  /// What layers wait for.
  double Exposed() const { return total - compute - slowed; }
};

/// The first micro-batch of a step begins with nothing gathered. The others find what the one before has gathered last,
/// and sum its last gradients beside their forward.
enum class PlaceInStep { kFirst, kLater };

/// Runs a micro-batch on two clocks, the layers' and one beside it, on which gathers and reductions go on one after the
/// other. A layer's weights are gathered while the layer ahead runs; its gradients are summed while the next ones run.
/// There are two sets of buffers of weights and of gradients, which blocks take in turns, so that backward finds the
/// last two blocks' weights there and gathers the others again; embedding and head have one set if their weights
/// differ. The gradients of the first block and of the embedding are left to the next micro-batch, or to the end of the
/// step. The order of it all is that of Olmo::ForwardBackward.
MicroBatchTime TimeOf(const MicroBatchUnits& units, PlaceInStep place);

}  // namespace coat
