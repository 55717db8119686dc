#include "report/series.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace coat {
namespace {

/// A noisy curve with gaps between its steps.
Points Curve(std::size_t count) {
  Points points;
  for (std::size_t i = 0; i < count; ++i) {
    points.steps.push_back(static_cast<std::int64_t>(3 * i + i % 2));
    points.values.push_back(static_cast<double>(i * 7919 % 1009) - 0.001 * static_cast<double>(i));
  }
  return points;
}

TEST(Series, KeepsTheLastOfSeveralPointsOfAStep) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  Series series;
  for (const auto& [step, value] : {std::pair{1, 5.0}, {2, kNone}, {2, 6.0}, {3, 7.0}, {3, kNone}, {4, kNone}}) {
    series.Add(step, value);
  }
  EXPECT_EQ(series.points.steps, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(series.points.values, (std::vector<double>{5.0, 6.0}));
  EXPECT_EQ(series.missing, (std::vector<std::int64_t>{3, 4}));
}

TEST(Summarize, IsOfAllPoints) {
  const SeriesSummary odd = Summarize({{1, 2, 3}, {3.0, -1.0, 2.0}});
  EXPECT_EQ(odd.last, 2.0);
  EXPECT_EQ(odd.least, -1.0);
  EXPECT_EQ(odd.most, 3.0);
  EXPECT_EQ(odd.median, 2.0);
  EXPECT_EQ(odd.mean_of_last, 4.0 / 3.0);
  Points twelve;
  for (std::int64_t i = 1; i <= 12; ++i) {
    twelve.steps.push_back(i);
    twelve.values.push_back(static_cast<double>(i));
  }
  EXPECT_EQ(Summarize(twelve).mean_of_last, 7.5);
  EXPECT_EQ(Summarize(twelve).median, 6.5);
  EXPECT_TRUE(std::isnan(Summarize({}).last));
}

TEST(KeepExtremes, ReturnsShortSeriesWhole) {
  const Points points = Curve(100);
  EXPECT_EQ(KeepExtremes(points, 100).steps, points.steps);
  EXPECT_EQ(MeanOfIntervals(points, 100).values, points.values);
}

TEST(KeepExtremes, KeepsFirstLastAndTheExtremesOfEveryInterval) {
  for (const std::size_t count : {101u, 999u, 100'000u}) {
    const Points all = Curve(count);
    const Points kept = KeepExtremes(all, 100);
    ASSERT_LE(kept.size(), 102u);
    EXPECT_TRUE(std::is_sorted(kept.steps.begin(), kept.steps.end()));
    EXPECT_EQ(std::adjacent_find(kept.steps.begin(), kept.steps.end()), kept.steps.end());
    EXPECT_EQ(kept.steps.front(), all.steps.front());
    EXPECT_EQ(kept.steps.back(), all.steps.back());
    for (std::size_t i = 0; i < 50; ++i) {
      const std::size_t begin = i * count / 50, end = (i + 1) * count / 50;
      double least = 1e9, most = -1e9;
      for (std::size_t p = begin; p < end; ++p) {
        least = std::min(least, all.values[p]);
        most = std::max(most, all.values[p]);
      }
      const auto has = [&](double value) {
        for (std::size_t k = 0; k < kept.size(); ++k) {
          const bool inside = kept.steps[k] >= all.steps[begin] && kept.steps[k] <= all.steps[end - 1];
          if (inside && kept.values[k] == value) return true;
        }
        return false;
      };
      ASSERT_TRUE(has(least) && has(most)) << "interval " << i << " of " << count << " points";
    }
  }
}

TEST(MeanOfIntervals, TakesEachPointOnce) {
  const Points all = Curve(1000);
  const Points means = MeanOfIntervals(all, 100);
  ASSERT_EQ(means.size(), 50u);
  double sum = 0, magnitudes = 0, sum_of_means = 0;
  for (const double value : all.values) {
    sum += value;
    magnitudes += std::abs(value);
  }
  for (const double value : means.values) sum_of_means += 20 * value;
  // Every addition rounds a partial sum: a thousand of them in one sum, fewer in the other.
  EXPECT_NEAR(sum_of_means, sum, 2 * 1000 * 0x1p-53 * magnitudes);
  EXPECT_EQ(means.steps[0], 29);  // 0, 4, 6, 10, ... 58: the mean of their sum 590 / 20, rounded down
}

TEST(MeanOfIntervals, TakesStepsOfAnySize) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  Points points;
  for (const std::int64_t step : {kLeast, kMost - 4, kMost - 3, kMost - 2, kMost - 1, kMost}) {
    points.steps.push_back(step);
    points.values.push_back(1.0);
  }
  const Points means = MeanOfIntervals(points, 4);  // of three points each
  // (2^63 - 5 + 2^63 - 4 - 2^63) / 3 = (2^63 - 9) / 3, rounded down; the other mean is its middle.
  EXPECT_EQ(means.steps, (std::vector<std::int64_t>{(kMost - 8) / 3, kMost - 1}));
  EXPECT_EQ(means.values, (std::vector<double>{1.0, 1.0}));
}

}  // namespace
}  // namespace coat
