#pragma once

namespace coat::cuda {

/// Loads cuDNN, once; its functions may be called from then on. Throws Error that says what to install if there is no
/// cuDNN or one that is too old.
void LoadCudnn();

}  // namespace coat::cuda
