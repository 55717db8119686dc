#include "output/chrome_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

namespace coat {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kProcess = 1;
constexpr int kHost = 1;
constexpr int kDevice = 2;

Json NameEvent(const char* kind, int thread, std::string_view name) {
  return {{"name", kind}, {"ph", "M"}, {"pid", kProcess}, {"tid", thread}, {"args", {{"name", name}}}};
}

std::string WithoutNumber(const std::string& name) {
  const std::size_t last = name.find_last_not_of("0123456789");
  const bool has_number = last != std::string::npos && last + 1 < name.size() && last > 0 && name[last] == ' ';
  return has_number ? name.substr(0, last) : name;
}

struct Row {
  std::string name;
  std::int64_t calls = 0;
  double total = 0.0;
  double self = 0.0;
};

/// Rows in order of first appearance. Spans come in the order of their beginning, so those within follow at once.
std::vector<Row> RowsOf(std::span<const Profile::Span> spans, bool on_device) {
  std::vector<Row> rows;
  std::vector<std::size_t> around;  // the rows of the open spans
  for (const Profile::Span& span : spans) {
    if (span.on_device != on_device) continue;
    const std::string name = WithoutNumber(span.name);
    auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& other) { return other.name == name; });
    if (row == rows.end()) row = rows.insert(rows.end(), {.name = name});
    row->calls += 1;
    row->total += span.duration;
    row->self += span.duration;
    around.resize(std::min(around.size(), static_cast<std::size_t>(span.depth)));
    if (!around.empty()) rows[around.back()].self -= span.duration;
    around.push_back(static_cast<std::size_t>(row - rows.begin()));
  }
  return rows;
}

}  // namespace

std::string ChromeTrace(std::span<const Profile::Span> spans, std::string_view process, std::string_view device) {
  Json events = Json::array();
  events.push_back(NameEvent("process_name", kHost, process));
  events.push_back(NameEvent("thread_name", kHost, "host"));
  const bool has_device = std::any_of(spans.begin(), spans.end(), [](const auto& span) { return span.on_device; });
  if (has_device) events.push_back(NameEvent("thread_name", kDevice, device));
  for (const Profile::Span& span : spans) {
    events.push_back({{"name", span.name},
                      {"cat", span.on_device ? "device" : "host"},
                      {"ph", "X"},
                      {"ts", span.begin},
                      {"dur", span.duration},
                      {"pid", kProcess},
                      {"tid", span.on_device ? kDevice : kHost}});
  }
  return Json({{"displayTimeUnit", "ms"}, {"traceEvents", events}})
      .dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::string ProfileTable(std::span<const Profile::Span> spans, bool on_device, std::size_t rows) {
  std::vector<Row> sorted = RowsOf(spans, on_device);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Row& a, const Row& b) { return a.total > b.total; });
  std::string table = fmt::format("{:32} {:>7} {:>12} {:>12}", "name", "calls", "total ms", "own ms");
  for (const Row& row : std::span(sorted).first(std::min(rows, sorted.size()))) {
    table += fmt::format("\n{:32} {:7} {:12.3f} {:12.3f}", row.name, row.calls, row.total / 1e3, row.self / 1e3);
  }
  return table;
}

}  // namespace coat
