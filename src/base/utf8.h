#pragma once
// UTF-8, as far as files and token streams need it.

#include <cstddef>
#include <string>
#include <string_view>

namespace coat {

/// Where `text` stops being UTF-8 (Unicode's definition: no surrogates, no overlong forms, nothing above U+10FFFF), or
/// its size if it is UTF-8 to the end.
std::size_t FindInvalidUtf8(std::string_view text);

/// Gathers bytes that come in any pieces and gives them out in whole characters.
///
/// What cannot become a character, whatever follows, is given out as U+FFFD: one for each longest run of bytes that a
/// character could begin with, and for each byte that begins none, as Unicode recommends and as Python's
/// bytes.decode(errors="replace") and the tokenizers library do.
class Utf8Pieces {
 public:
  /// More bytes; returns all that is complete.
  std::string Take(std::string_view bytes);
  /// What is left at the end: nothing, or U+FFFD for a character that is cut short.
  std::string Rest();

 private:
  std::string pending_;  // the beginning of a character
};

}  // namespace coat
