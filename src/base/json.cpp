#include "base/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

namespace coat {

namespace {

using nlohmann::json;

constexpr int kMostDepth = 1000;

/// Throws for the byte with this number, from 1 on.
[[noreturn]] void ThrowNoJson(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, byte - 1);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t column = byte - (before.rfind('\n') + 1);  // npos + 1 is 0
  throw IoError(fmt::format("is not JSON from {}column {} on", line > 1 ? fmt::format("line {}, ", line) : "", column));
}

}  // namespace

json ParseJson(std::string_view text) {
  json value;
  try {
    value = json::parse(text, [](int depth, json::parse_event_t, const json&) {
      if (depth > kMostDepth) throw IoError(fmt::format("has JSON nested more than {} levels deep", kMostDepth));
      return true;
    });
  } catch (const json::parse_error& error) {
    ThrowNoJson(text, error.byte);
  } catch (const json::out_of_range&) {
    throw IoError("has a number too large for double precision");
  }
  // The reader takes a null byte for the end of its input.
  if (const std::size_t end = text.find('\0'); end != std::string_view::npos) ThrowNoJson(text, end + 1);
  return value;
}

}  // namespace coat
