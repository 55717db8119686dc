#pragma once

#include <cstdint>
#include <vector>

#include "base/context.h"
#include "base/tensor.h"
#include "comm/communicator.h"

namespace coat {

/// Of a tensor: the smallest and the largest magnitude, the mean and the L2 norm.
struct TensorStatistics {
  double min = 0.0, max = 0.0, mean = 0.0, norm = 0.0;
};

/// Statistics of one tensor after the other, of each of which every rank has a part.
class PartStatistics {
 public:
  /// `ranks` null: the parts are the whole tensors.
  explicit PartStatistics(Communicator* ranks) : ranks_(ranks) {}

  /// Adds a tensor by this rank's part x, f32 or bf16, which may be empty; `result` is [4] f32 to work with. Nothing on
  /// kMeta.
  void Add(Context& ctx, ConstTensorView x, TensorView result);
  /// The statistics of the tensors added, the same on all ranks. Without ranks they are those of the op Statistics; with
  /// ranks they are combined of the parts' in float64, so the mean and the norm differ from those by roundings of
  /// float32.
  std::vector<TensorStatistics> Combined() const;

 private:
  struct Part {
    TensorStatistics statistics;
    std::int64_t count = 0;
  };

  Communicator* ranks_;
  std::vector<Part> parts_;
};

}  // namespace coat
