#pragma once
// metrics.jsonl: every number that a run reports, for programs to read.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"
#include "output/metrics.h"

namespace coat {

/// The file's name in the save folder.
inline constexpr std::string_view kMetricsFileName = "metrics.jsonl";

/// A file of one JSON object a line: {"step":N,"name":value,...}. Numbers have the fewest digits that read back to the
/// same double; infinities and NaN, which JSON has no number for, are null.
///
/// Every Write appends one whole line at once, so the file can be followed while the run goes on. A run that goes on
/// from a checkpoint appends: the lines of steps after the checkpoint, which it will take again, are cut off, and so is
/// a last line that a kill left half written. Flush before a checkpoint is made, so that the file reaches at least as
/// far. Not thread-safe.
class MetricsFile {
 public:
  /// Opens the file of a run that has done `steps_done` steps: 0 for a new one, and for one that starts over. The
  /// folder must exist.
  ///
  /// Throws IoError, with nothing changed, when a new run finds a file that is not empty and `overwrite` is false, and
  /// when the file of a run that goes on has a line that is not of this kind (with its number) before one that is kept,
  /// or at its beginning. Throws IoError when it cannot be written.
  MetricsFile(const std::string& path, std::int64_t steps_done, bool overwrite);

  const std::string& path() const { return file_.path(); }

  /// The number, from 1, of a damaged line that was cut off: it stood before the first of a step after the checkpoint,
  /// so that its own step cannot be told.
  std::optional<std::int64_t> damaged_line() const { return kept_.damaged_line; }

  /// Whether the file has a number of this name for the step that the run goes on from; with a prefix, of one that
  /// begins so.
  bool HasAtStart(std::string_view name) const;
  bool HasPrefixAtStart(std::string_view prefix) const;

  /// Appends a line. Steps must not decrease. Throws IoError, with a part of the line in the file at worst.
  void Write(std::int64_t step, const Metrics& metrics);

  /// Waits until all lines are on the disk. Throws IoError.
  void Flush();

 private:
  /// What of a file belongs to the steps that are done.
  struct Kept {
    std::int64_t bytes = 0;                    // whole lines at the front
    std::string last_lines;                    // of the step that the run goes on from
    std::optional<std::int64_t> damaged_line;  // right behind them
  };
  static Kept LinesUpToStep(const std::string& path, std::int64_t last_step);
  static Kept LinesToKeep(const std::string& path, std::int64_t steps_done, bool overwrite);

  Kept kept_;
  FileDescriptor file_;
};

/// The line that MetricsFile writes, with its newline.
std::string MetricsLine(std::int64_t step, const Metrics& metrics);

}  // namespace coat
