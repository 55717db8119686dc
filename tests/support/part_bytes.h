#pragma once

#include <span>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint_tensors.h"

namespace coat {

/// The bytes of elements of a tensor, in whose files ever they are.
inline std::string BytesOfPart(const CheckpointTensors& tensors, std::string_view name, Part part) {
  std::string all;
  tensors.ForEachRun(name, part, [&](Part, std::span<const std::byte> bytes) {
    all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return all;
}

}  // namespace coat
