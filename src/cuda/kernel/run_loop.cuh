#pragma once

#include <algorithm>
#include <cstdint>

#include "base/divide.h"

namespace coat::cuda {

/// Columns of a row that a thread takes at a time in a RunLoop: the smallest group of a scale.
constexpr int kRun = 16;

/// The loop of all threads of a kernel over a matrix [N, F] in runs of kRun columns, row by row; neighboring threads
/// take neighboring runs. All threads of a block go round equally often, in the last round not all `active`. It divides
/// only to begin with.
class RunLoop {
 public:
  /// `runs` are N F / kRun. Backward: from the last run on.
  __device__ RunLoop(std::int64_t runs, std::int64_t width, bool backward = false) : width_(width) {
    const std::int64_t first_of_block = std::int64_t{blockIdx.x} * blockDim.x;
    const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
    if (first_of_block >= runs) return;
    rounds_ = static_cast<int>((runs - 1 - first_of_block) / stride) + 1;
    const std::int64_t first = first_of_block + threadIdx.x;
    own_rounds_ = rounds_ - (first + (rounds_ - 1) * stride < runs ? 0 : 1);

    const std::int64_t run = backward ? runs - 1 - first : first;
    const std::int64_t step = backward ? -stride : stride;
    runs_of_row_ = static_cast<int>(width / kRun);
    std::int64_t step_rows = step / runs_of_row_;
    if (step_rows * runs_of_row_ > step) --step_rows;
    step_in_row_ = static_cast<int>(step - step_rows * runs_of_row_);
    step_half_ = step * kRun;
    step_up_ = step_half_ + step_rows * width;
    place_in_row_ = static_cast<int>(run % runs_of_row_);
    half_ = run * kRun;
    up_ = half_ + run / runs_of_row_ * width;
  }

  __device__ bool Goes() const { return rounds_ > 0; }
  /// Whether the thread has a run in this round.
  __device__ bool active() const { return own_rounds_ > 0; }
  /// The run's first element in a matrix [N, F].
  __device__ std::int64_t half() const { return half_; }
  /// The same in the first half of a matrix [N, 2F].
  __device__ std::int64_t up() const { return up_; }

  __device__ void Advance() {
    --rounds_;
    --own_rounds_;
    half_ += step_half_;
    up_ += step_up_;
    place_in_row_ += step_in_row_;
    const bool wraps = place_in_row_ >= runs_of_row_;
    place_in_row_ -= wraps ? runs_of_row_ : 0;
    up_ += wraps ? width_ : 0;
  }

 private:
  std::int64_t width_;
  int rounds_ = 0, own_rounds_ = 0;
  int runs_of_row_ = 1, place_in_row_ = 0, step_in_row_ = 0;
  std::int64_t half_ = 0, up_ = 0;
  std::int64_t step_half_ = 0, step_up_ = 0;
};

/// Blocks that keep all multiprocessors busy with a loop over `runs`, at least one.
inline unsigned BlocksForRuns(std::int64_t runs, int threads, int multiprocessors) {
  constexpr std::int64_t kBlocksEach = 12;
  return static_cast<unsigned>(std::clamp<std::int64_t>(DivideUp(runs, threads), 1, kBlocksEach * multiprocessors));
}

}  // namespace coat::cuda
