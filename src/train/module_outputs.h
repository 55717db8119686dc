#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/observer.h"

namespace coat {

/// Writes what a micro-batch computes on its way forward, as it lies in memory: `save_folder/traces/stepN/` with a
/// safetensors file for each part of the model, "transformer.blocks.0.safetensors" (docs/profiling.md).
class ModuleOutputs final : public TensorObserver {
 public:
  /// Makes the folder of a step. One that is there is removed if `overwrite`, else an IoError.
  ModuleOutputs(const std::string& save_folder, std::int64_t step, bool overwrite);

  const std::string& folder() const { return folder_; }
  void See(const Context& ctx, std::string_view part, std::span<const Arena::Entry> tensors) override;

 private:
  std::string folder_;
};

}  // namespace coat
