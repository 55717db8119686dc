#pragma once

#include <span>
#include <string_view>

#include "base/arena.h"
#include "base/context.h"

namespace coat {

/// Sees what the parts of a model compute, for comparison with another implementation (Context::set_observer).
class TensorObserver {
 public:
  virtual ~TensorObserver() = default;

  /// `part` of the model has just computed `tensors`, in the order of the context's work; they keep these values until
  /// this returns.
  virtual void See(const Context& ctx, std::string_view part, std::span<const Arena::Entry> tensors) = 0;
};

}  // namespace coat
