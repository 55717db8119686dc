#include "base/error.h"

#include <cstdlib>
#include <string_view>

#include "base/standard_streams.h"

namespace coat::detail {

namespace {

std::string_view BelowSourceRoot(std::string_view file) {
  const std::size_t at = file.rfind("/src/");
  return at == std::string_view::npos ? file : file.substr(at + 5);
}

}  // namespace

void ThrowArgumentError(const char* file, int line, const std::string& message) {
  throw ArgumentError(fmt::format("{} [{}:{}]", message, BelowSourceRoot(file), line));
}

}  // namespace coat::detail
