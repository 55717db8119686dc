#include "report/run_record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "config/yaml.h"

namespace coat {

namespace {

/// Reads a file to its end and hands on what it reads.
void ReadFile(const std::string& path, const std::function<void(std::string_view)>& take) {
  FileDescriptor file(path, O_RDONLY);
  std::vector<char> chunk(std::size_t{1} << 20);
  while (const std::size_t count = file.Read(std::as_writable_bytes(std::span(chunk)))) take({chunk.data(), count});
}

/// Adds one line of metrics. Returns what is wrong with it, or nothing.
std::string AddLine(std::string_view line, RunRecord& run) {
  const nlohmann::json metrics = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (metrics.is_discarded()) return "is not JSON";
  if (!metrics.is_object() || !metrics.contains("step") || !metrics["step"].is_number_integer()) return "has no step";
  const auto step = metrics["step"].get<std::int64_t>();
  if (step < run.last_step) return fmt::format("has step {} after step {}", step, run.last_step);
  run.last_step = step;
  for (const auto& [name, value] : metrics.items()) {
    if (name == "step") continue;
    if (!value.is_number() && !value.is_null()) return fmt::format("has a value of {} that is no number", name);
    run.series[name].Add(step, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  }
  return "";
}

void ReadMetrics(const std::string& path, RunRecord& run) {
  std::string pending;  // a line whose end has not been read
  std::int64_t number = 0;
  ReadFile(path, [&](std::string_view text) {
    for (std::size_t newline; (newline = text.find('\n')) != std::string_view::npos; text.remove_prefix(newline + 1)) {
      pending += text.substr(0, newline);
      ++number;
      if (const std::string problem = AddLine(pending, run); !problem.empty()) {
        throw IoError(fmt::format("{}:{}: is not a line of metrics: it {}; expected {{\"step\":N,\"name\":number,...}}",
                                  path, number, problem));
      }
      pending.clear();
    }
    pending += text;
  });
}

}  // namespace

std::string RunRecord::Name() const {
  const Node* const name = config.Find("run_name");
  return name != nullptr && name->kind == Node::Kind::kScalar ? name->text : folder;
}

RunRecord ReadRun(const std::string& folder) {
  RunRecord run;
  run.folder = folder;
  const std::string config = folder + "/config.yaml";
  const std::string metrics = folder + "/metrics.jsonl";
  for (const std::string& path : {config, metrics}) {
    if (::access(path.c_str(), R_OK) == 0) continue;
    throw IoError(
        fmt::format("{}: found no {} that can be read; expected the save folder of a run, with config.yaml and "
                    "metrics.jsonl",
                    folder, path.substr(folder.size() + 1)));
  }
  ReadFile(config, [&](std::string_view text) { run.config_text += text; });
  run.config = ParseYamlFile(run.config_text, config);
  ReadMetrics(metrics, run);
  return run;
}

}  // namespace coat
