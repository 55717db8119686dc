#pragma once
// What an exception says, for tests of error messages.

#include <gtest/gtest.h>

#include <exception>
#include <string>

namespace coat {

/// Calls `function`, which must throw an exception whose class is exactly `Exception`, and returns its message. Fails
/// the test and returns "" when it throws something else or nothing.
template <class Exception, class Function>
std::string ThrownMessage(Function&& function) {
  try {
    function();
  } catch (const Exception& error) {
    EXPECT_EQ(typeid(error), typeid(Exception)) << error.what();
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception was thrown: " << error.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace coat
