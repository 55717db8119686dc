#include "data/documents.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

std::vector<std::int32_t> Starts(const std::vector<std::int32_t>& tokens) {
  std::vector<std::int32_t> starts(tokens.size(), -1);
  FindDocuments(tokens, 0, starts);
  return starts;
}

using Tokens = std::vector<std::int32_t>;

TEST(FindDocuments, EndsADocumentAfterItsLastToken) {
  EXPECT_EQ(Starts({5, 6, 0, 7, 0, 8, 9}), Tokens({0, 0, 0, 3, 3, 5, 5}));
}

TEST(FindDocuments, TakesASequenceWithoutAnEndAsOneDocument) {
  EXPECT_EQ(Starts({5, 6, 7}), Tokens({0, 0, 0}));
}

TEST(FindDocuments, KnowsDocumentsOfOneTokenAndAnEndAtTheEndOfTheSequence) {
  EXPECT_EQ(Starts({0, 0, 5, 0}), Tokens({0, 1, 2, 2}));
  EXPECT_EQ(Starts({}), Tokens());
}

TEST(FindDocuments, RefusesRoomForAnotherNumberOfTokens) {
  std::vector<std::int32_t> starts(2);
  EXPECT_EQ(ErrorOf<ArgumentError>([&] {
              FindDocuments(Tokens({1, 2, 3}), 0, starts);
            }).rfind("there is room for the documents of 2 tokens; there are 3", 0),
            0U);
}

}  // namespace
}  // namespace coat
