#include "cuda/device/shared_library.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <utility>

namespace coat::cuda {

SharedLibrary::SharedLibrary(std::string file, std::string_view purpose, std::string advice)
    : file_(std::move(file)), advice_(std::move(advice)) {
  std::string first_error;
  for (const char* folder : {"", "/usr/local/cuda/lib64/", "/usr/local/cuda/lib/"}) {
    handle_ = dlopen((folder + file_).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
    if (first_error.empty()) first_error = dlerror();
  }
  Refuse(fmt::format("{} cannot be loaded ({})", purpose, first_error));
}

void SharedLibrary::Refuse(std::string_view reason) {
  if (problem_.empty()) problem_ = fmt::format("{}: {}", reason, advice_);
}

void* SharedLibrary::Symbol(const char* name) {
  void* const symbol = handle_ == nullptr ? nullptr : dlsym(handle_, name);
  if (symbol == nullptr) Refuse(fmt::format("{} has no {}", file_, name));
  return symbol;
}

}  // namespace coat::cuda
