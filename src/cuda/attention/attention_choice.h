#pragma once

#include <set>
#include <string>
#include <string_view>

namespace coat::cuda {

class CudaDevice;

/// Which kernels have computed attention, for the log. Part of a CudaDevice (CudaDevice::Get).
class AttentionChoice {
 public:
  explicit AttentionChoice(CudaDevice&) {}

  /// `kernels` is a literal: "cuDNN's".
  void Note(std::string_view kernels) { kernels_.insert(kernels); }
  /// "attention by cuDNN's kernels".
  std::string Describe() const {
    std::string text;
    for (const std::string_view kernels : kernels_) {
      text += (text.empty() ? "attention by " : " and ") + std::string(kernels);
    }
    return text + " kernels";
  }

 private:
  std::set<std::string_view> kernels_;
};

}  // namespace coat::cuda
