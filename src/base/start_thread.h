#pragma once

#include <system_error>

namespace coat {

namespace detail {
[[noreturn]] void ThrowThreadError(const char* purpose, const std::system_error& error);
}  // namespace detail

/// What `start` returns: the std::thread, std::jthread or future of std::async that it starts. Throws Error, which
/// names `purpose` ("computing") and says what to do, where the system starts no more threads.
template <class Start>
auto StartThread(const char* purpose, const Start& start) {
  try {
    return start();
  } catch (const std::system_error& error) {
    detail::ThrowThreadError(purpose, error);
  }
}

}  // namespace coat
