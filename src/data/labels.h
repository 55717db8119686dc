#pragma once
// What the model has to predict at each position.

#include <cstdint>
#include <span>

#include "data/batch.h"

namespace coat {

/// The label of a position without a prediction: left out of the loss and of the number of predicted positions. (OLMo
/// and torch use the same number.)
inline constexpr std::int32_t kNoLabel = -100;

/// Labels of the sequences [first, first + count) of `batch`: a position's label is the token after it; kNoLabel at
/// the last position of each sequence, where the label mask of the token to be predicted is 0, and in all of a sequence
/// whose instance mask is 0.
///
/// `labels` is [count, T] and written whole. Returns the number of labels that are not kNoLabel.
/// Throws ArgumentError unless the sequences are in the batch, its fields fit each other and `labels` has the size.
/// Source: OLMo's get_labels.
std::int64_t MakeLabels(const Batch& batch, std::int64_t first, std::int64_t count, std::span<std::int32_t> labels);

}  // namespace coat
