#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "report/run_record.h"

namespace coat {

/// A series of more points is thinned for the page (KeepExtremes, MeanOfIntervals).
inline constexpr std::size_t kMostPointsOfACurve = 2000;

/// Whether the report charts a metric. Not charted: perplexities, which are e to the loss; sums since the start that
/// tokens say as well; and metrics of single parameters, of which there are hundreds.
bool IsCharted(std::string_view metric);

/// One HTML page that compares runs: results, curves, memory by category, differences of the configurations. It needs
/// nothing but a browser: no network, no other file. The same runs give the same bytes.
std::string ReportPage(std::span<const RunRecord> runs);

/// What the page knows, one line of JSON: {"runs": [{"name", "folder", "last_step", "series": {name: {"steps",
/// "values", "means", "missing", "summary"}}, "memory"}], "differences": [{"key", "values"}], "left_out": N}.
std::string ReportData(std::span<const RunRecord> runs);

}  // namespace coat
