#include "base/utf8.h"

#include <utility>

namespace coat {

namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

/// What a character's first byte says: its length, and the range of its second byte. Length 0: no character.
struct Lead {
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
};

Lead LeadOf(unsigned char byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xc2 || byte > 0xf4) return {0};
  if (byte < 0xe0) return {2};
  if (byte < 0xf0) {
    return {3, static_cast<unsigned char>(byte == 0xe0 ? 0xa0 : 0x80),
            static_cast<unsigned char>(byte == 0xed ? 0x9f : 0xbf)};
  }
  return {4, static_cast<unsigned char>(byte == 0xf0 ? 0x90 : 0x80),
          static_cast<unsigned char>(byte == 0xf4 ? 0x8f : 0xbf)};
}

enum class Character { kWhole, kCutShort, kInvalid };

/// The character that `text`, not empty, begins with. `length` is how many bytes belong to it or, if it is invalid,
/// could have begun one, and at least 1.
Character Classify(std::string_view text, std::size_t& length) {
  const Lead lead = LeadOf(static_cast<unsigned char>(text[0]));
  length = 1;
  if (lead.length == 0) return Character::kInvalid;
  for (; length < lead.length; ++length) {
    if (length == text.size()) return Character::kCutShort;
    const auto byte = static_cast<unsigned char>(text[length]);
    if (byte < (length == 1 ? lead.low : 0x80) || byte > (length == 1 ? lead.high : 0xbf)) return Character::kInvalid;
  }
  return Character::kWhole;
}

}  // namespace

std::size_t FindInvalidUtf8(std::string_view text) {
  for (std::size_t at = 0, length = 0; at < text.size(); at += length) {
    if (Classify(text.substr(at), length) != Character::kWhole) return at;
  }
  return text.size();
}

std::string Utf8Pieces::Take(std::string_view bytes) {
  pending_ += bytes;
  std::string whole;
  std::size_t at = 0;
  for (std::size_t length = 0; at < pending_.size(); at += length) {
    const Character character = Classify(std::string_view(pending_).substr(at), length);
    if (character == Character::kCutShort) break;
    whole += character == Character::kWhole ? std::string_view(pending_).substr(at, length) : kReplacement;
  }
  pending_.erase(0, at);
  return whole;
}

std::string Utf8Pieces::Rest() {
  return std::exchange(pending_, {}).empty() ? "" : std::string(kReplacement);
}

}  // namespace coat
