#pragma once
// One metric of a run over its steps, and what a page shows of it.

#include <cstdint>
#include <vector>

namespace coat {

/// Points in the order of their steps, no step twice.
struct Points {
  std::vector<std::int64_t> steps;
  std::vector<double> values;

  std::size_t size() const { return steps.size(); }
};

/// A metric as recorded: finite numbers, and the steps at which it was not one.
struct Series {
  Points points;
  std::vector<std::int64_t> missing;

  /// Adds the number of a step, which is not below those before it; NaN for one that is missing. Of several of one step
  /// the last one counts.
  void Add(std::int64_t step, double value);
};

/// Numbers for a table, each of all points; of no points all are NaN.
struct SeriesSummary {
  double last;
  double least;
  double most;
  double median;        // of an even number of points: the mean of the middle two
  double mean_of_last;  // of the last 10 points, or of all if there are fewer
};
SeriesSummary Summarize(const Points& points);

/// Points of a long series that a page can draw: the first, the last, and of each of `most` / 2 or fewer intervals of
/// equally many points the least and the greatest value. A series of up to `most` points is returned whole.
Points KeepExtremes(const Points& points, std::size_t most);

/// The means of those intervals, at the mean of their steps rounded down; of a series that is returned whole, itself.
Points MeanOfIntervals(const Points& points, std::size_t most);

}  // namespace coat
