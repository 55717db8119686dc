#include "base/utf8.h"

#include <utility>

namespace coat {

namespace {

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

/// The character that `text`, not empty, begins with; `length` is its length if it is whole.
Character Classify(std::string_view text, std::size_t& length) {
  const Lead lead = LeadOf(static_cast<unsigned char>(text[0]));
  if (lead.length == 0) return Character::kInvalid;
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return Character::kCutShort;
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < (i == 1 ? lead.low : 0x80) || byte > (i == 1 ? lead.high : 0xbf)) return Character::kInvalid;
  }
  length = lead.length;
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
  // Only the last character can be cut short, and it begins within the last three bytes.
  std::size_t end = pending_.size();
  for (std::size_t back = 1; back <= 3 && back <= pending_.size(); ++back) {
    std::size_t unused = 0;
    if (Classify(std::string_view(pending_).substr(pending_.size() - back), unused) == Character::kCutShort) {
      end = pending_.size() - back;
    }
  }
  std::string whole = pending_.substr(0, end);
  pending_.erase(0, end);
  return whole;
}

std::string Utf8Pieces::Rest() {
  return std::exchange(pending_, {});
}

}  // namespace coat
