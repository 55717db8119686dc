#pragma once
// Tensors that one rank has whole, as CheckpointWriter::AddTensors takes them.

#include <vector>

#include "checkpoint/part_plan.h"
#include "checkpoint/tensor_info.h"

namespace coat {

inline std::vector<StatePart> WholeTensors(const std::vector<TensorInfo>& infos) {
  std::vector<StatePart> tensors;
  for (const TensorInfo& info : infos) {
    std::int64_t elements = 1;
    for (const std::int64_t extent : info.shape) elements *= extent;
    tensors.push_back({.whole = info, .part = {0, elements}});
  }
  return tensors;
}

}  // namespace coat
