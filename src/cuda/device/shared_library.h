#pragma once

#include <string>
#include <string_view>

namespace coat::cuda {

/// A library that is loaded when it is first needed and stays loaded, so that programs start on machines without it.
class SharedLibrary {
 public:
  /// Loads `file`, such as "libnccl.so.2", from where the system's loader looks and then from /usr/local/cuda, where
  /// the toolkit may have it. `purpose` is the subject of "cannot be loaded", `advice` what to do then. Does not throw:
  /// see problem().
  SharedLibrary(std::string file, std::string_view purpose, std::string advice);

  /// Why it cannot be used; "" if it can: it is not there, or Find did not find a name.
  const std::string& problem() const { return problem_; }
  /// The same for a reason that the caller has found, unless there is one: it is followed by the advice.
  void Refuse(std::string_view reason);

  /// The function of this name; null, and a problem, if there is none.
  template <class Function>
  void Find(const char* name, Function& function) {
    function = reinterpret_cast<Function>(Symbol(name));
  }

 private:
  void* Symbol(const char* name);

  std::string file_;
  std::string advice_;
  void* handle_ = nullptr;
  std::string problem_;
};

}  // namespace coat::cuda
