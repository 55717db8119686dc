#pragma once
// Files of scalars that TensorBoard shows.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/file_descriptor.h"

namespace coat {

/// How the names of these files begin; TensorBoard reads the files of a folder in the order of their names.
inline constexpr std::string_view kEventFilePrefix = "events.out.tfevents.";

/// The events of one process of a run, in a file of their own: events.out.tfevents.SECONDS.coat.
///
/// Every Write appends its whole records at once, so that TensorBoard can follow the run; what a kill left half written
/// at the end of a file is passed over by its readers. A run that goes on from a checkpoint writes another file, which
/// sorts behind those that are there and begins by saying at which step it starts: readers then drop the events of that
/// step and later ones, which the run takes again. Not thread-safe. What fails throws IoError.
class EventFile {
 public:
  /// Makes `folder` if need be, and a file in it, for a run that has done `steps_done` steps: 0 for a new one, and for
  /// one that starts over; then event files that are there are removed, or are an error, with nothing changed, unless
  /// `overwrite`. `wall_time` is now, in seconds since 1970.
  EventFile(const std::string& folder, std::int64_t steps_done, bool overwrite, double wall_time);

  const std::string& path() const { return file_.path(); }

  /// Appends the numbers of a step, by name. Rounded to float32, which is what the format holds.
  void Write(std::int64_t step, double wall_time, std::span<const std::pair<std::string, double>> scalars);

  /// Waits until all events are on the disk.
  void Flush();

 private:
  FileDescriptor file_;
};

}  // namespace coat
