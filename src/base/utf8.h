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
/// What cannot become a character, whatever follows, is given out as it is: nothing is lost or replaced.
class Utf8Pieces {
 public:
  /// More bytes; returns all that is complete.
  std::string Take(std::string_view bytes);
  /// What is left at the end.
  std::string Rest();

 private:
  std::string pending_;
};

}  // namespace coat
