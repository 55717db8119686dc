#include "report/series.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace coat {

namespace {

/// The first point of interval `index` of `count`.
std::size_t Begin(std::size_t index, std::size_t count, std::size_t points) {
  return index * points / count;
}

}  // namespace

void Series::Add(std::int64_t step, double value) {
  if (!points.steps.empty() && points.steps.back() == step) {
    points.steps.pop_back();
    points.values.pop_back();
  }
  if (!missing.empty() && missing.back() == step) missing.pop_back();
  if (std::isfinite(value)) {
    points.steps.push_back(step);
    points.values.push_back(value);
  } else {
    missing.push_back(step);
  }
}

SeriesSummary Summarize(const Points& points) {
  const std::size_t count = points.size();
  if (count == 0) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    return {kNone, kNone, kNone, kNone, kNone};
  }
  std::vector<double> sorted = points.values;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t tail = std::min<std::size_t>(count, 10);
  const double sum = std::accumulate(points.values.end() - static_cast<std::ptrdiff_t>(tail), points.values.end(), 0.0);
  return {.last = points.values.back(),
          .least = sorted.front(),
          .most = sorted.back(),
          .median = 0.5 * (sorted[(count - 1) / 2] + sorted[count / 2]),
          .mean_of_last = sum / static_cast<double>(tail)};
}

Points KeepExtremes(const Points& points, std::size_t most) {
  if (points.size() <= most) return points;
  const std::size_t intervals = most / 2;
  std::vector<std::size_t> kept = {0};
  for (std::size_t i = 0; i < intervals; ++i) {
    const auto begin = points.values.begin() + static_cast<std::ptrdiff_t>(Begin(i, intervals, points.size()));
    const auto end = points.values.begin() + static_cast<std::ptrdiff_t>(Begin(i + 1, intervals, points.size()));
    const auto [least, greatest] = std::minmax_element(begin, end);
    kept.push_back(static_cast<std::size_t>(std::min(least, greatest) - points.values.begin()));
    kept.push_back(static_cast<std::size_t>(std::max(least, greatest) - points.values.begin()));
  }
  kept.push_back(points.size() - 1);
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  Points result;
  for (const std::size_t index : kept) {
    result.steps.push_back(points.steps[index]);
    result.values.push_back(points.values[index]);
  }
  return result;
}

Points MeanOfIntervals(const Points& points, std::size_t most) {
  if (points.size() <= most) return points;
  const std::size_t intervals = most / 2;
  Points means;
  for (std::size_t i = 0; i < intervals; ++i) {
    const std::size_t begin = Begin(i, intervals, points.size());
    const std::size_t end = Begin(i + 1, intervals, points.size());
    const std::uint64_t count = end - begin;
    // Steps beyond the first one's: the whole parts and the rests of their quotients by count, whose sums both fit.
    std::uint64_t quotients = 0;
    std::uint64_t rests = 0;
    double values = 0;
    for (std::size_t p = begin; p < end; ++p) {
      const std::uint64_t steps =
          static_cast<std::uint64_t>(points.steps[p]) - static_cast<std::uint64_t>(points.steps[begin]);
      quotients += steps / count;
      rests += steps % count;
      values += points.values[p];
    }
    const std::uint64_t mean = static_cast<std::uint64_t>(points.steps[begin]) + quotients + rests / count;
    means.steps.push_back(static_cast<std::int64_t>(mean));
    means.values.push_back(values / static_cast<double>(count));
  }
  return means;
}

}  // namespace coat
