#pragma once
// Token files as they are written: one, or many of a size.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/token_type.h"

namespace coat {

/// Writes tokens to `path`, or to shards of it, which appear under their names when all is written (Commit).
///
/// Shard i of "a.npy" is "a-00000.npy", with five digits or more. All shards but the last hold equally many tokens, so
/// a document may go on in the next one. What fails throws IoError and leaves what was there.
class TokenOutput {
 public:
  /// `shard_tokens` 0: one file. Throws IoError when the file, or an output of shards of this name, exists and
  /// `overwrite` is false.
  TokenOutput(std::string path, TokenType type, std::int64_t shard_tokens, bool overwrite);

  /// Ids that the type holds.
  void Write(std::span<const std::int32_t> ids);
  std::int64_t tokens() const { return tokens_; }
  /// Files so far, at least one.
  std::int64_t files() const { return static_cast<std::int64_t>(files_.size()); }

  /// Moves the last `count` tokens, fewer than all, to another file. Of an output that is one file; the last call
  /// before Commit.
  void MoveTail(std::int64_t count, AtomicFile& to);
  /// Gives the files their names, and removes the shards of an overwritten output that come after them.
  void Commit();

  /// The shards of an earlier output of this name: those from 0 up to the first that is not there. Other files may have
  /// such names too, a date for one.
  static std::vector<std::string> ExistingShards(const std::string& path);

 private:
  void AddFile();

  std::string path_;
  TokenType type_;
  std::int64_t shard_tokens_;
  bool overwrite_;
  std::vector<std::string> earlier_;  // shards that are to be overwritten
  std::vector<std::unique_ptr<AtomicFile>> files_;
  std::int64_t tokens_ = 0;
  std::vector<std::uint16_t> narrow_;
};

}  // namespace coat
