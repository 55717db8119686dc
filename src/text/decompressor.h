#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace coat {

/// Decompresses data of one format, one member (frame) after the other, in pieces of any size.
class Decompressor {
 public:
  enum class State : std::uint8_t { kInMember, kEndOfMember, kDamaged };
  struct Step {
    std::size_t consumed = 0;  // bytes of the compressed data
    std::size_t produced = 0;  // bytes of text
    State state = State::kInMember;
  };

  virtual ~Decompressor() = default;
  /// "gzip" or "zstd".
  virtual std::string_view format() const = 0;
  /// Decompresses from the front of `compressed` to the front of `text`, which is not empty, until one of them or the
  /// member is used up or damage is met. After the end of a member the next begins; after damage, nothing more. With
  /// nothing compressed it gives out what it still holds.
  virtual Step Decompress(std::span<const std::byte> compressed, std::span<std::byte> text) = 0;
  /// What is wrong, in the library's words, after kDamaged.
  virtual std::string_view problem() const = 0;
};

/// The decompressor for a file with these first bytes, at least four unless the file is shorter; none if they are not
/// those of gzip or zstd data.
std::unique_ptr<Decompressor> DecompressorFor(std::span<const std::byte> first);

}  // namespace coat
