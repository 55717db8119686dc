#pragma once
// The record of which sequences each step read.

#include <cstdint>
#include <span>
#include <string>

#include "base/file_descriptor.h"

namespace coat {

/// Writes `save_folder/data-indices/rankR.tsv.gz`: a line a step, the step and then the indices of its sequences in the
/// data set, separated by tabs. Not thread-safe.
///
/// Every Flush appends one whole gzip member, so the file can be read at any time (zcat reads members one after the
/// other), and a run that goes on from a checkpoint appends: the lines of steps after the checkpoint, which it will
/// take again, are removed, and with them what a kill left half written. (OLMo begins the file anew at each start, and
/// so loses the record of what came before.) Flush before a checkpoint is made, so that the record reaches at least as
/// far.
class DataIndexLog {
 public:
  /// Opens the log of a run that has done `steps_done` steps: 0 for a new one, and for one that starts over. Makes the
  /// folder if need be.
  ///
  /// Throws IoError when the folder or file cannot be made or written; when a new run finds a file and `overwrite` is
  /// false; when the file of a run that goes on is not such a log.
  DataIndexLog(const std::string& path, std::int64_t steps_done, bool overwrite);
  /// Flushes, and gives up silently if that fails.
  ~DataIndexLog();
  DataIndexLog(const DataIndexLog&) = delete;
  DataIndexLog& operator=(const DataIndexLog&) = delete;

  /// Records a step. Flushes by itself when much has gathered.
  void Add(std::int64_t step, std::span<const std::int64_t> indices);

  /// Appends everything recorded since the last time and waits until it is on the disk. Throws IoError.
  void Flush();

 private:
  FileDescriptor file_;
  std::string text_;  // not yet in the file
};

}  // namespace coat
