#include "config/scalar.h"

#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

namespace coat {

namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

/// Digits from `at` on, with single underscores between digits, appended to `digits`; false if there is none.
bool TakeDigits(std::string_view text, std::size_t& at, std::string& digits) {
  if (at >= text.size() || !IsDigit(text[at])) return false;
  while (at < text.size()) {
    if (IsDigit(text[at])) {
      digits += text[at++];
    } else if (text[at] == '_' && at + 1 < text.size() && IsDigit(text[at + 1])) {
      ++at;
    } else {
      break;
    }
  }
  return true;
}

/// A sign from `at` on; only a minus is kept.
void TakeSign(std::string_view text, std::size_t& at, std::string& digits) {
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    if (text[at] == '-') digits += '-';
    ++at;
  }
}

}  // namespace

std::optional<std::int64_t> ParseInteger(std::string_view text) {
  std::string digits;
  std::size_t at = 0;
  TakeSign(text, at, digits);
  const std::size_t first = digits.size();
  if (!TakeDigits(text, at, digits) || at != text.size()) return std::nullopt;
  if (digits[first] == '0' && digits.size() > first + 1) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<double> ParseNumber(std::string_view text) {
  std::string digits;
  std::size_t at = 0;
  TakeSign(text, at, digits);
  const std::size_t first = digits.size();
  const bool whole = TakeDigits(text, at, digits);
  if (whole && digits[first] == '0' && digits.size() > first + 1) return std::nullopt;
  bool fraction = false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!whole) digits += '0';
    digits += '.';
    fraction = TakeDigits(text, at, digits);
    if (!fraction) digits += '0';
  }
  if (!whole && !fraction) return std::nullopt;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    digits += 'e';
    TakeSign(text, at, digits);
    if (!TakeDigits(text, at, digits)) return std::nullopt;
  }
  if (at != text.size()) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<bool> ParseBool(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

bool IsNullText(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

std::string NumberText(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), end);
  const std::size_t exponent = text.find('e');
  if (exponent != std::string::npos && text[exponent + 2] == '0') text.erase(exponent + 2, 1);
  if (text.find('.') != std::string::npos) return text;
  text.insert(exponent == std::string::npos ? text.size() : exponent, ".0");
  return text;
}

}  // namespace coat
