#include "convert/safetensors_key.h"

#include <fmt/format.h>

#include <cstddef>
#include <span>

#include "base/error.h"
#include "checkpoint/quoted.h"
#include "convert/pickle_reader.h"

namespace coat {

namespace {

/// The value of a digit of URL-safe base64; -1 for others.
int DigitOf(char digit) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const std::size_t value = kDigits.find(digit);
  return value == std::string_view::npos ? -1 : static_cast<int>(value);
}

/// The bytes that a text of base64 encodes; empty if it is none.
std::string FromBase64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char digit : text) {
    const int value = DigitOf(digit);
    if (value < 0) return "";
    bits = (bits << 6 | static_cast<unsigned>(value)) & 0xfff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xff);
  }
  return bytes;
}

}  // namespace

SafetensorsKey ParseSafetensorsKey(std::string_view key, const std::string& file) {
  using Kind = PickleValue::Kind;
  constexpr char kProtocolOpcode = '\x80';
  const std::string bytes = FromBase64(key);
  if (!bytes.starts_with(kProtocolOpcode)) return {.path = {std::string(key)}};
  const Pickle pickle(std::as_bytes(std::span(bytes)), fmt::format("{}: key {}", file, Quoted(key)), {});
  const auto fail = [&] {
    throw IoError(
        fmt::format("{}: key {}: expected a path of names, and whether the value is pickled", file, Quoted(key)));
  };
  const PickleValue& root = pickle.root();
  if (root.kind != Kind::kTuple || root.items.size() != 2 || root.items[0]->kind != Kind::kTuple ||
      root.items[0]->items.empty() || root.items[1]->kind != Kind::kBool) {
    fail();
  }
  SafetensorsKey parsed = {.path = {}, .is_pickled = root.items[1]->integer != 0};
  for (const PickleValue* const step : root.items[0]->items) {
    if (step->kind == Kind::kText) {
      parsed.path.emplace_back(step->text);
    } else if (step->kind == Kind::kInteger) {
      parsed.path.emplace_back(step->integer);
    } else {
      fail();
    }
  }
  return parsed;
}

std::string NameOfSafetensorsKey(std::string_view key, const std::string& file) {
  const SafetensorsKey parsed = ParseSafetensorsKey(key, file);
  const std::string* const name = std::get_if<std::string>(&parsed.path.front());
  if (name == nullptr || parsed.path.size() != 1 || parsed.is_pickled) {
    throw IoError(fmt::format("{}: key {}: expected one name of a tensor", file, Quoted(key)));
  }
  return *name;
}

}  // namespace coat
