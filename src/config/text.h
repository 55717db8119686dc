#pragma once
// Lists of names in messages.

#include <span>
#include <string>
#include <string_view>

namespace coat {

/// The texts with `separator` between them.
inline std::string Joined(std::span<const std::string> texts, std::string_view separator) {
  std::string joined;
  for (const std::string& text : texts) {
    if (&text != texts.data()) joined += separator;
    joined += text;
  }
  return joined;
}

}  // namespace coat
