#include "optim/part_statistics.h"

#include <cmath>
#include <limits>

#include "ops/statistics.h"

namespace coat {

void PartStatistics::Add(Context& ctx, ConstTensorView x, TensorView result) {
  if (x.elements() > 0) Statistics(ctx, {.x = x, .statistics = result});
  if (ctx.device() == DeviceKind::kMeta) return;
  Part part;
  part.count = x.elements();
  part.statistics.min = std::numeric_limits<double>::infinity();
  if (part.count > 0) {
    float values[4];
    ctx.Download(result, values);
    part.statistics = {values[0], values[1], values[2], values[3]};
  }
  parts_.push_back(part);
}

std::vector<TensorStatistics> PartStatistics::Combined() const {
  std::vector<TensorStatistics> combined;
  for (const Part& part : parts_) combined.push_back(part.statistics);
  if (ranks_ == nullptr) return combined;
  std::vector<double> sums, maxima;
  for (const auto& [statistics, count] : parts_) {
    const auto elements = static_cast<double>(count);
    sums.insert(sums.end(), {statistics.mean * elements, statistics.norm * statistics.norm, elements});
    maxima.insert(maxima.end(), {-statistics.min, statistics.max});
  }
  ranks_->AllReduce(sums, Reduction::kSum);
  ranks_->AllReduce(maxima, Reduction::kMax);
  for (std::size_t i = 0; i < combined.size(); ++i) {
    combined[i] = {.min = -maxima[2 * i],
                   .max = maxima[2 * i + 1],
                   .mean = sums[3 * i] / sums[3 * i + 2],
                   .norm = std::sqrt(sums[3 * i + 1])};
  }
  return combined;
}

}  // namespace coat
