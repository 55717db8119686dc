#pragma once
// zlib's decompression of gzip data.

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace coat {

/// Decompresses one gzip member after the other, in pieces of any size. Neither copied nor moved: zlib keeps its
/// address.
class Inflater {
 public:
  enum class State { kInMember, kEndOfMember, kDamaged };
  struct Step {
    std::size_t consumed = 0;  // bytes of the compressed data
    std::size_t produced = 0;  // bytes of text
    State state = State::kInMember;
  };

  Inflater();
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Decompresses from the front of `compressed` to the front of `text` until one of them or the member is used up or
  /// damage is met. Neither may be empty. After the end of a member the next begins; after damage, nothing more.
  Step Inflate(std::span<const std::byte> compressed, std::span<std::byte> text);

  /// What is wrong, in zlib's words, after kDamaged.
  const char* problem() const { return stream_.msg != nullptr ? stream_.msg : "no reason given"; }

 private:
  z_stream stream_ = {};
};

}  // namespace coat
