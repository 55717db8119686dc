#include "output/metrics_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"

namespace coat {

namespace {

constexpr std::string_view kLineStart = "{\"step\":";

/// Text as a JSON string. Bytes above 0x7f are taken to be UTF-8.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

/// The step that a line begins with; nothing for what is no line of ours.
std::optional<std::int64_t> StepOf(std::string_view line) {
  if (!line.starts_with(kLineStart) || !line.ends_with('}')) return std::nullopt;
  std::int64_t step = 0;
  const char* const end = line.data() + line.size();
  const auto [rest, error] = std::from_chars(line.data() + kLineStart.size(), end, step);
  if (error != std::errc() || step < 0 || (*rest != ',' && *rest != '}')) return std::nullopt;
  return step;
}

}  // namespace

std::string MetricsLine(std::int64_t step, const Metrics& metrics) {
  std::string line = fmt::format("{}{}", kLineStart, step);
  for (const auto& [name, value] : metrics.items()) {
    line += fmt::format(",{}:{}", Quoted(name), std::isfinite(value) ? fmt::format("{}", value) : "null");
  }
  return line + "}\n";
}

MetricsFile::Kept MetricsFile::LinesUpToStep(const std::string& path, std::int64_t last_step) {
  FileDescriptor file(path, O_RDONLY);
  std::vector<char> chunk(std::size_t{1} << 20);
  std::string text;  // what is not looked at yet
  Kept kept;
  for (std::int64_t line_number = 1; true;) {
    const std::size_t count = file.Read(std::as_writable_bytes(std::span(chunk)));
    if (count == 0) return kept;
    text.append(chunk.data(), count);
    std::size_t begin = 0;
    for (std::size_t newline; (newline = text.find('\n', begin)) != std::string::npos; ++line_number) {
      const auto step = StepOf(std::string_view(text).substr(begin, newline - begin));
      if (step && *step > last_step) return kept;
      if (!step && !kept.damaged_line) kept.damaged_line = line_number;
      if (kept.damaged_line && (step || kept.bytes == 0)) {
        throw IoError(
            fmt::format("{}:{}: is not a line of metrics; expected {{\"step\":N,...}}", path, *kept.damaged_line));
      }
      if (step) {
        if (*step == last_step) kept.last_lines.append(text, begin, newline + 1 - begin);
        kept.bytes += static_cast<std::int64_t>(newline + 1 - begin);
      }
      begin = newline + 1;
    }
    text.erase(0, begin);
  }
}

MetricsFile::Kept MetricsFile::LinesToKeep(const std::string& path, std::int64_t steps_done, bool overwrite) {
  if (::access(path.c_str(), F_OK) != 0) return {};
  if (steps_done > 0) return LinesUpToStep(path, steps_done);
  if (!overwrite && FileDescriptor(path, O_RDONLY).Size() > 0) {
    throw IoError(
        fmt::format("{}: exists already, from an earlier run; nothing was overwritten (save_overwrite "
                    "replaces it)",
                    path));
  }
  return {};
}

MetricsFile::MetricsFile(const std::string& path, std::int64_t steps_done, bool overwrite)
    : kept_(LinesToKeep(path, steps_done, overwrite)), file_(path, O_WRONLY | O_CREAT | O_APPEND) {
  file_.Truncate(kept_.bytes);
  SyncParentFolder(path);
}

// Every name stands behind a comma, and within a name there is a backslash before a quotation mark.
bool MetricsFile::HasAtStart(std::string_view name) const {
  return kept_.last_lines.find("," + Quoted(name) + ":") != std::string::npos;
}

bool MetricsFile::HasPrefixAtStart(std::string_view prefix) const {
  std::string begin = "," + Quoted(prefix);
  begin.pop_back();
  return kept_.last_lines.find(begin) != std::string::npos;
}

void MetricsFile::Write(std::int64_t step, const Metrics& metrics) {
  const std::string line = MetricsLine(step, metrics);
  file_.Write(std::as_bytes(std::span(line)));
}

void MetricsFile::Flush() {
  file_.Sync();
}

}  // namespace coat
