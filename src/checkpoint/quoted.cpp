#include "checkpoint/quoted.h"

#include <fmt/format.h>

#include <iterator>

namespace coat {

std::string Quoted(std::string_view text) {
  constexpr std::size_t kMostBytes = 120;
  std::string quoted = "\"";
  for (const char character : text.substr(0, kMostBytes)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\') {
      fmt::format_to(std::back_inserter(quoted), "\\x{:02x}", byte);
    } else {
      quoted += character;
    }
  }
  quoted += text.size() > kMostBytes ? "...\"" : "\"";
  return quoted;
}

}  // namespace coat
