#include "evaluate/shared_batches.h"

#include <algorithm>

namespace coat {

void ShareBatches(const Communicator& ranks, std::int64_t batches,
                  const std::function<void(std::int64_t batch, bool counts)>& evaluate,
                  const std::function<void(std::int64_t)>& progress) {
  for (std::int64_t first = 0; first < batches; first += ranks.size()) {
    const std::int64_t own = first + ranks.rank();
    evaluate(std::min(own, batches - 1), own < batches);
    for (std::int64_t done = first + 1; done <= std::min(first + ranks.size(), batches); ++done) progress(done);
  }
}

}  // namespace coat
