#include "cuda/device/shared_library.h"

#include <gtest/gtest.h>

namespace coat::cuda {
namespace {

TEST(SharedLibrary, FindsFunctions) {
  SharedLibrary library("libm.so.6", "mathematics", "install it");
  double (*cosine)(double) = nullptr;
  library.Find("cos", cosine);
  ASSERT_EQ(library.problem(), "");
  ASSERT_NE(cosine, nullptr);
  EXPECT_EQ(cosine(0.0), 1.0);
}

TEST(SharedLibrary, SaysThatThereIsNoLibrary) {
  SharedLibrary library("libnothing.so.7", "nothing, which does nothing,", "install nothing 7");
  EXPECT_EQ(library.problem(),
            "nothing, which does nothing, cannot be loaded (libnothing.so.7: cannot open shared object file: No such "
            "file or directory): install nothing 7");
  double (*cosine)(double) = nullptr;
  library.Find("cos", cosine);
  EXPECT_EQ(cosine, nullptr);
  EXPECT_NE(library.problem().find("cannot be loaded"), std::string::npos) << "the first problem is kept";
}

TEST(SharedLibrary, SaysWhichFunctionIsMissing) {
  SharedLibrary library("libm.so.6", "mathematics", "install another");
  double (*cosine)(double) = nullptr;
  library.Find("coat_has_no_such_function", cosine);
  EXPECT_EQ(cosine, nullptr);
  EXPECT_EQ(library.problem(), "libm.so.6 has no coat_has_no_such_function: install another");
}

TEST(SharedLibrary, IsRefusedByItsUser) {
  SharedLibrary library("libm.so.6", "mathematics", "install another");
  library.Refuse("version 6 is too old");
  library.Refuse("and has no zeta");
  EXPECT_EQ(library.problem(), "version 6 is too old: install another");
}

}  // namespace
}  // namespace coat::cuda
