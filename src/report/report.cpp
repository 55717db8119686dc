#include "report/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/error.h"
#include "config/load.h"
#include "config/validate.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "report/config_differences.h"
#include "report/page.h"

namespace coat {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostMissing = 1000;  // steps; their number is always given

Json PointsJson(const Points& points) {
  return {{"steps", points.steps}, {"values", points.values}};
}

Json SeriesJson(const Series& series) {
  Json json = PointsJson(KeepExtremes(series.points, kMostPointsOfACurve));
  if (series.points.size() > kMostPointsOfACurve) {
    json["means"] = PointsJson(MeanOfIntervals(series.points, kMostPointsOfACurve));
  }
  const std::size_t shown = std::min(series.missing.size(), kMostMissing);
  json["missing"] = {{"count", series.missing.size()},
                     {"steps", std::vector<std::int64_t>(series.missing.begin(),
                                                         series.missing.begin() + static_cast<std::ptrdiff_t>(shown))}};
  const SeriesSummary summary = Summarize(series.points);
  json["summary"] = {{"last", summary.last},
                     {"least", summary.least},
                     {"most", summary.most},
                     {"median", summary.median},
                     {"mean_of_last", summary.mean_of_last}};
  return json;
}

/// The plan of the run's memory. A configuration that this build cannot honor, say of another version, has none, and
/// the page says why: its metrics are no worse for it.
Json MemoryJson(const RunRecord& run) {
  try {
    const TrainConfig config =
        ParseTrainConfig(run.config_text, run.folder + "/config.yaml", {}, {.check_paths = false});
    Validate(config, {.needs_data = false});
    const MemoryPlan plan = Engine::Measure(config);
    Json categories = Json::array();
    for (const MemoryPlan::Line& line : plan.categories) categories.push_back(Json::array({line.name, line.bytes}));
    return {{"total", plan.Total()}, {"categories", categories}};
  } catch (const Error& error) {
    return {{"error", error.what()}};
  }
}

/// The runs' names; those of the same name with their folders.
std::vector<std::string> NamesOf(std::span<const RunRecord> runs) {
  std::vector<std::string> names;
  for (const RunRecord& run : runs) {
    const std::string name = run.Name();
    const auto same = [&](const RunRecord& other) { return other.Name() == name; };
    names.push_back(std::count_if(runs.begin(), runs.end(), same) == 1 ? name : name + " (" + run.folder + ")");
  }
  return names;
}

/// `page` with `text` in the place of `mark`.
std::string Replaced(std::string_view page, std::string_view mark, std::string_view text) {
  const std::size_t place = page.find(mark);
  std::string result(page.substr(0, place));
  result += text;
  result += page.substr(place + mark.size());
  return result;
}

}  // namespace

bool IsCharted(std::string_view metric) {
  if (metric.starts_with("optim/")) {
    return metric == "optim/total_grad_norm" || metric == "optim/learning_rate_group0" ||
           metric == "optim/clipping_rate";
  }
  return !metric.ends_with("/Perplexity") && !metric.starts_with("throughput/total_training_");
}

std::string ReportData(std::span<const RunRecord> runs) {
  Json data = {{"runs", Json::array()}, {"differences", Json::array()}};
  const std::vector<std::string> names = NamesOf(runs);
  std::vector<Node> configs;
  std::set<std::string> left_out;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const RunRecord& run = runs[r];
    configs.push_back(run.config);
    Json series = Json::object();
    for (const auto& [name, values] : run.series) {
      if (IsCharted(name)) {
        series[name] = SeriesJson(values);
      } else {
        left_out.insert(name);
      }
    }
    data["runs"].push_back({{"name", names[r]},
                            {"folder", run.folder},
                            {"last_step", run.last_step},
                            {"series", std::move(series)},
                            {"memory", MemoryJson(run)}});
  }
  for (const ConfigDifference& difference : ConfigDifferences(configs)) {
    Json values = Json::array();
    for (const auto& value : difference.values) values.push_back(value ? Json(*value) : Json(nullptr));
    data["differences"].push_back({{"key", difference.key}, {"values", values}});
  }
  data["left_out"] = left_out.size();
  return data.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

std::string ReportPage(std::span<const RunRecord> runs) {
  // "<" is in strings only, where \u003c means the same: so no name can end the script that holds the data.
  std::string data;
  for (const char c : ReportData(runs)) {
    if (c == '<') {
      data += "\\u003c";
    } else {
      data += c;
    }
  }
  return Replaced(ReportTemplate(), kReportDataMark, data);
}

}  // namespace coat
