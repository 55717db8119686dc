#include "data/repetition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

#include "base/error.h"

namespace coat {
namespace {

using Tokens = std::vector<std::int32_t>;

/// OLMo's procedure, step by step: rows of a period's tokens, filled with -1; runs of rows that equal the row before
/// them; how far the rows around a run match; how many periods that makes.
bool RepeatsByRows(const Tokens& tokens, const RepetitionFilter& filter) {
  const auto length = static_cast<std::int64_t>(tokens.size());
  for (std::int64_t period = filter.min_period; period <= std::min(filter.max_period, length / 3); ++period) {
    Tokens filled = tokens;
    filled.resize(static_cast<std::size_t>(length + period - length % period), -1);
    const std::int64_t rows = static_cast<std::int64_t>(filled.size()) / period;
    const auto matches = [&](std::int64_t row, std::int64_t column) {
      const std::int64_t before = (row + rows - 1) % rows;
      return filled[static_cast<std::size_t>(row * period + column)] ==
             filled[static_cast<std::size_t>(before * period + column)];
    };
    const auto row_matches = [&](std::int64_t row) {
      for (std::int64_t column = 0; column < period; ++column) {
        if (!matches(row, column)) return false;
      }
      return true;
    };
    for (std::int64_t first = 0; first < rows; ++first) {
      if (!row_matches(first)) continue;
      std::int64_t last = first;
      while (last + 1 < rows && row_matches(last + 1)) ++last;
      std::int64_t before = 0;
      while (before < period && matches(first - 1, period - 1 - before)) ++before;
      std::int64_t after = 0;
      while (after < period && matches(last + 1, after)) ++after;
      const std::int64_t start = (first - 1) * period - before;
      const std::int64_t end = (last + 1) * period + after;
      const std::int64_t times = (end - start) / period;
      if (times > 2 && times >= filter.max_count) return true;
      first = last;
    }
  }
  return false;
}

/// The definition: somewhere a piece is followed by enough copies of itself.
bool RepeatsByDefinition(const Tokens& tokens, const RepetitionFilter& filter) {
  const auto length = static_cast<std::int64_t>(tokens.size());
  const std::int64_t times = std::max<std::int64_t>(filter.max_count, 3);
  for (std::int64_t period = filter.min_period; period <= std::min(filter.max_period, length / 3); ++period) {
    for (std::int64_t start = 0; start + times * period <= length; ++start) {
      bool same = true;
      for (std::int64_t copy = 1; copy < times; ++copy) {
        same = same && std::equal(tokens.begin() + start, tokens.begin() + start + period,
                                  tokens.begin() + start + copy * period);
      }
      if (same) return true;
    }
  }
  return false;
}

/// Tokens of a small alphabet with a piece repeated somewhere in them.
Tokens WithRepetition(std::mt19937& generator, std::size_t length, std::int32_t alphabet) {
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(generator() % bound); };
  Tokens tokens(length);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(generator() % static_cast<unsigned>(alphabet));
  const std::size_t period = 1 + below(6);
  const std::size_t begin = below(length);
  const std::size_t end = std::min(length, begin + period * (1 + below(8)) + below(period));
  for (std::size_t i = begin + period; i < end; ++i) tokens[i] = tokens[i - period];
  return tokens;
}

TEST(RepeatsItself, AgreesWithOlmosProcedureAndTheDefinition) {
  std::mt19937 generator(6198);
  std::int64_t repeated = 0;
  constexpr std::int64_t kTrials = 20000;
  for (std::int64_t trial = 0; trial < kTrials; ++trial) {
    const Tokens tokens =
        WithRepetition(generator, 1 + generator() % 60, 2 + static_cast<std::int32_t>(trial % 3) * 40);
    RepetitionFilter filter;
    filter.min_period = 1 + static_cast<std::int64_t>(generator() % 3);
    filter.max_period = filter.min_period + static_cast<std::int64_t>(generator() % 6);
    filter.max_count = 1 + static_cast<std::int64_t>(generator() % 8);
    const bool expected = RepeatsByRows(tokens, filter);
    ASSERT_EQ(RepeatsByDefinition(tokens, filter), expected) << "trial " << trial;
    ASSERT_EQ(RepeatsItself(tokens, filter), expected) << "trial " << trial;
    repeated += expected ? 1 : 0;
  }
  // Both answers are frequent, or the comparison would prove little.
  EXPECT_GT(repeated, kTrials / 10);
  EXPECT_LT(repeated, kTrials * 9 / 10);
}

TEST(RepeatsItself, CountsToTheThresholdAndNoFurther) {
  const RepetitionFilter filter;  // OLMo's: 32 times, periods of 1 to 13
  for (std::size_t period = 1; period <= 14; ++period) {
    for (const std::size_t length : {32 * period - 1, 32 * period}) {
      Tokens tokens;
      for (std::int32_t unique = 1000; unique < 1500; ++unique) tokens.push_back(unique);
      for (std::size_t i = 0; i < length; ++i) tokens.push_back(static_cast<std::int32_t>(i % period));
      for (std::int32_t unique = 2000; unique < 2500; ++unique) tokens.push_back(unique);
      const bool expected = period <= 13 && length == 32 * period;
      EXPECT_EQ(RepeatsItself(tokens, filter), expected) << "period " << period << ", " << length << " tokens";
    }
  }
}

TEST(RepeatsItself, LooksAtNothingThatIsTooShort) {
  EXPECT_FALSE(RepeatsItself(Tokens(), {.max_count = 1}));
  EXPECT_FALSE(RepeatsItself(Tokens({4, 4}), {.max_count = 1}));
  EXPECT_TRUE(RepeatsItself(Tokens({4, 4, 4}), {.max_count = 1}));
}

TEST(RepeatsItself, RefusesAPeriodOfNothing) {
  EXPECT_THROW(RepeatsItself(Tokens({4, 4, 4}), {.min_period = 0}), ArgumentError);
}

}  // namespace
}  // namespace coat
