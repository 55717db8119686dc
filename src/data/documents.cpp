#include "data/documents.h"

#include <cstddef>

#include "base/error.h"

namespace coat {

void FindDocuments(std::span<const std::int32_t> tokens, std::int32_t end_of_document, std::span<std::int32_t> starts) {
  COAT_REQUIRE(tokens.size() == starts.size(), "there is room for the documents of {} tokens; there are {}",
               starts.size(), tokens.size());
  std::int32_t start = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    starts[i] = start;
    if (tokens[i] == end_of_document) start = static_cast<std::int32_t>(i) + 1;
  }
}

}  // namespace coat
