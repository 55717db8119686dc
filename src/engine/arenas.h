#pragma once

#include "base/arena.h"

namespace coat {

/// All the memory of a training run, by what it is for. Measured once without a step's work, then bound.
struct RunArenas {
  Arena masters;    // float32 parameters
  Arena gradients;  // accumulated over the micro-batches of a step
  Arena weights;    // operands made from the masters once a step, and constant tables
  Arena moments;    // of the optimizer
  Arena metadata;   // absmax and exponents of FP8 moments
  Arena saved;      // activations from forward to backward
  Arena batch;      // token ids, labels and losses of a micro-batch
  Arena scratch;    // temporaries of one call, stack-like
  Arena exchange;   // whole weights and gradients of the layers that ranks work on, where they share a model

  template <class Visitor>
  void ForEach(Visitor&& visit) {
    for (Arena* arena : {&masters, &gradients, &weights, &moments, &metadata, &saved, &batch, &scratch, &exchange}) {
      visit(*arena);
    }
  }
  template <class Visitor>
  void ForEach(Visitor&& visit) const {
    for (const Arena* arena :
         {&masters, &gradients, &weights, &moments, &metadata, &saved, &batch, &scratch, &exchange}) {
      visit(*arena);
    }
  }
};

}  // namespace coat
