#pragma once
// What lies beside the weights in an unsharded checkpoint of OLMo: where its run stood.

#include <string>

#include "checkpoint/trainer_state.h"
#include "convert/model.h"

namespace coat {

/// The moments of `path`, an optim.pt or optim.safetensors with float32 states of AdamW or LionW (native_states.h), for
/// the parameters of `model`. The blocks of its names lie in groups of `block_group_size`.
///
/// Throws IoError for damaged files, states that are missing, left over or of another shape, moments that are not
/// float32 (those of COAT's fork), and parameters that were updated unequally often.
OptimizerState ReadOlmoOptimizer(const std::string& path, const Model& model, std::int64_t block_group_size);

/// The step, and the place in the data, of `path`, a train.pt or train.safetensors; `sequence_length` tokens are an
/// example. States of random numbers and lists of checkpoints are passed over. Throws IoError for damaged files and
/// values that make no sense.
TrainerState ReadOlmoTrainer(const std::string& path, std::int64_t sequence_length);

}  // namespace coat
