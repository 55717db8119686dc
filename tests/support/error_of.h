#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.h"

namespace coat {

/// The message of the `Thrown` (an error class of base/error.h) that `function` throws; a failed expectation and an
/// empty text if it throws none. Another exception goes on to the test's caller.
template <class Thrown = IoError, class Function>
std::string ErrorOf(Function&& function) {
  try {
    function();
  } catch (const Thrown& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error of the expected class";
  return "";
}

/// Expects every one of `parts` in `text`.
inline void ExpectParts(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
  }
}

}  // namespace coat
