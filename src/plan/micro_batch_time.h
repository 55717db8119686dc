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
};

/// How long a micro-batch takes, and what for, in seconds.
struct MicroBatchTime {
  double total = 0.0;
  double compute = 0.0;  // of layers
  double gather = 0.0;   // of all gathers, hidden or not
  double reduce = 0.0;

  /// What layers wait for.
  double Exposed() const { return total - compute; }
};

/// Runs a micro-batch on two clocks, the layers' and one beside it, on which gathers and reductions go on one after the
/// other. A layer's weights are gathered while the layer ahead runs; its gradients are summed while the next ones run.
/// There are two sets of buffers of weights and of gradients, which blocks take in turns, so that backward finds the
/// last two blocks' weights there and gathers the others again; embedding and head have one set if their weights
/// differ. The order of it all is that of Olmo::ForwardBackward.
MicroBatchTime TimeOf(const MicroBatchUnits& units);

}  // namespace coat
