#pragma once
// Files of token ids: raw little-endian uint16 or uint32, no header, whatever their name ends in (OLMo's end in .npy).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "base/token_type.h"

namespace coat {

/// "uint16" or "uint32".
std::string_view NameOf(TokenType type);

/// Whether the bytes begin as NumPy's .npy format does: "\x93NUMPY", then a version of 1.0 to 3.0.
bool HasNumpyHeader(std::span<const std::byte> bytes);

/// A token file seen as sequences of T tokens: [0, T), [T, 2T), ... The tokens of an incomplete last one are not used.
/// Move-only; reading from several threads at once is safe.
class TokenFile {
 public:
  /// Maps the file.
  ///
  /// Throws IoError when it is missing, unreadable or not a regular file, when it starts with the header of NumPy's
  /// .npy format, when its size is not a multiple of a token's, and when it is shorter than one sequence.
  TokenFile(std::string path, TokenType type, std::int64_t sequence_length);

  const std::string& path() const { return file_.path(); }
  std::int64_t token_count() const { return file_.size() / SizeOf(type_); }
  std::int64_t sequence_count() const { return token_count() / sequence_length_; }

  /// Copies sequence `index` to `tokens` ([T]) after checking that every id is below `vocab_size`.
  ///
  /// Throws IoError naming file, token, byte, id and vocabulary for an id beyond it, and as MappedFile::Range.
  /// `tokens` is then undefined. Throws ArgumentError unless 0 <= index < sequence_count() and tokens.size() == T.
  void ReadSequence(std::int64_t index, std::int64_t vocab_size, std::span<std::int32_t> tokens) const;

  /// Throws what ReadSequence throws for the first of the sequences [first, first + count) that it throws for.
  void CheckSequences(std::int64_t first, std::int64_t count, std::int64_t vocab_size) const;

 private:
  [[noreturn]] void FailBeyond(std::int64_t first, std::span<const std::byte> bytes, std::int64_t vocab_size) const;

  MappedFile file_;
  TokenType type_;
  std::int64_t sequence_length_;
};

}  // namespace coat
