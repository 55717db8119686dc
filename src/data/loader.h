#pragma once
// The endless stream of training batches, read ahead by a thread.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"

namespace coat {

/// A place in the stream of training data, the same for all ranks: what a checkpoint stores.
struct DataPosition {
  std::int64_t epoch = 0;
  std::int64_t examples_seen_this_epoch = 0;  // sequences of all ranks

  bool operator==(const DataPosition&) const = default;
};

/// How the stream is made from the data set.
struct LoaderOptions {
  std::uint64_t seed = 0;                 // of the data: `data.seed`, or the run's seed
  std::int64_t global_batch_size = 0;     // G, sequences of all ranks in a step
  std::int64_t rank = 0;                  // which part of each global batch to read
  std::int64_t world_size = 1;            // R ranks
  bool drop_last = true;                  // as in OrderOptions
  std::int64_t fast_forward_batches = 0;  // global batches to leave out at the start, across epochs if need be
  std::int64_t prefetch_batches = 2;      // batches read ahead
};

/// Yields one rank's part of one global batch after the other: entries s + r, s + r + R, ... of the epoch's order
/// (data/order.h), where s is the position and r the rank. What is left of an epoch when it does not fill a global
/// batch is left out; then the next epoch begins, shuffled anew.
///
/// The stream is a function of data set, options and position alone: a loader started at position() of another goes on
/// exactly where that one stopped. One thread reads ahead, so only one thread at a time may call the methods. Holds a
/// reference to the data set, which must outlive it. Source: OLMo, olmo/data/iterable_dataset.py and Trainer.fit.
class DataLoader {
 public:
  /// Throws ConfigError when `world_size` does not divide `global_batch_size`, when an epoch has fewer sequences than a
  /// global batch, and when `start` lies beyond the data; ArgumentError for sizes that are not positive.
  DataLoader(const MemMapDataset& dataset, const LoaderOptions& options, DataPosition start = {});
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  /// The next batch, of global_batch_size / world_size sequences; it stays valid until the next call.
  ///
  /// Throws what reading it threw (a token id beyond the vocabulary, a file cut short), on this call and all later
  /// ones.
  const Batch& Next();

  /// Where the stream goes on after the batches that Next has returned, however many have been read ahead.
  DataPosition position() const { return position_; }

  /// Global batches in a whole epoch: at least 1.
  std::int64_t batches_per_epoch() const { return epoch_size_ / options_.global_batch_size; }

 private:
  DataPosition Skip(DataPosition position, std::int64_t batches) const;
  bool EpochIsOver(DataPosition position) const;
  void ReadAhead(const std::stop_token& stop);

  const MemMapDataset& dataset_;
  const LoaderOptions options_;
  std::int64_t epoch_size_;  // entries of an epoch's order
  DataPosition position_;

  // A ring of prefetch_batches + 1 batches, whose memory is used again and again. The reader fills them in order; the
  // caller of Next holds at most one.
  std::vector<Batch> ring_;
  std::mutex mutex_;  // guards filled_, held_ and failure_
  std::condition_variable_any changed_;
  std::size_t filled_ = 0;      // read and not yet returned
  std::size_t held_ = 0;        // 1 once Next has returned a batch
  std::exception_ptr failure_;  // what stopped the reader
  std::size_t next_ = 0;        // in ring_, the next to return; touched only by Next
  std::jthread reader_;         // last: it stops and is joined before the rest goes
};

}  // namespace coat
