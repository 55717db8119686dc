#pragma once
// What an exception says, for tests of error messages.

#include <gtest/gtest.h>

#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>
#include <typeinfo>

#include "base/error.h"

namespace coat {

/// Calls `function`, which must throw an exception whose class is exactly `Thrown`, and returns its message. Fails the
/// test and returns "" when it throws something else or nothing.
template <class Thrown = IoError, class Function>
std::string ErrorOf(Function&& function) {
  try {
    function();
  } catch (const std::exception& error) {
    const bool is_expected = typeid(error) == typeid(Thrown);
    EXPECT_TRUE(is_expected) << "another exception was thrown: " << error.what();
    return is_expected ? error.what() : "";
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

/// Expects every one of `parts` in `text`.
inline void ExpectParts(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
  }
}

}  // namespace coat
