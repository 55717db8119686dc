// The functions of cuDNN that cudnn-frontend calls, as calls into the library that LoadCudnn has loaded: programs link
// no libcudnn, and start on machines without it.

#include "cuda/attention/cudnn_library.h"

#include <cudnn.h>
#include <fmt/core.h>
#include <nvrtc.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "cuda/device/shared_library.h"

namespace {

using coat::cuda::SharedLibrary;

constexpr const char* kLibrary = "libcudnn.so.9";
/// Before it, backward passes of lengths that are no multiples of 128 need copies from host memory.
constexpr std::size_t kOldestVersion = 91600;
constexpr const char* kAdvice =
    "install cuDNN 9 for CUDA 13 (with Python's package nvidia-cudnn-cu13, add its folder nvidia/cudnn/lib to "
    "LD_LIBRARY_PATH), or use --device=cpu";

SharedLibrary Open() {
  SharedLibrary library(kLibrary, "cuDNN, which attention on CUDA devices needs,", kAdvice);
  decltype(&cudnnGetVersion) get_version = nullptr;
  library.Find("cudnnGetVersion", get_version);
  const std::size_t version = get_version == nullptr ? 0 : get_version();
  if (version < kOldestVersion) {
    library.Refuse(fmt::format("cuDNN {}.{}.{} is too old; attention on CUDA devices needs {}.{}", version / 10000,
                               version / 100 % 100, version % 100, kOldestVersion / 10000, kOldestVersion / 100 % 100));
  }
  return library;
}

SharedLibrary& TheLibrary() {
  static SharedLibrary library = Open();
  return library;
}

/// The library's function of the name of `kStub`, which stands for it here.
template <auto kStub>
auto Find(const char* name) {
  static const auto function = [name] {
    coat::cuda::LoadCudnn();
    decltype(kStub) found = nullptr;
    TheLibrary().Find(name, found);
    coat::cuda::LoadCudnn();  // throws where there is none
    return found;
  }();
  return function;
}

}  // namespace

namespace coat::cuda {

std::string CudnnProblem() {
  return TheLibrary().problem();
}

void LoadCudnn() {
  if (!TheLibrary().problem().empty()) throw Error(TheLibrary().problem());
}

std::size_t CudnnVersion() {
  return CudnnProblem().empty() ? cudnnGetVersion() : 0;
}

}  // namespace coat::cuda

std::size_t cudnnGetVersion() {
  return Find<&cudnnGetVersion>("cudnnGetVersion")();
}

const char* cudnnGetErrorString(cudnnStatus_t status) {
  return Find<&cudnnGetErrorString>("cudnnGetErrorString")(status);
}

void cudnnGetLastErrorString(char* message, std::size_t max_size) {
  Find<&cudnnGetLastErrorString>("cudnnGetLastErrorString")(message, max_size);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return Find<&cudnnCreate>("cudnnCreate")(handle);
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  return Find<&cudnnDestroy>("cudnnDestroy")(handle);
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  return Find<&cudnnSetStream>("cudnnSetStream")(handle, stream);
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  return Find<&cudnnGetStream>("cudnnGetStream")(handle, stream);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* descriptor) {
  return Find<&cudnnBackendCreateDescriptor>("cudnnBackendCreateDescriptor")(type, descriptor);
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  return Find<&cudnnBackendDestroyDescriptor>("cudnnBackendDestroyDescriptor")(descriptor);
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  return Find<&cudnnBackendFinalize>("cudnnBackendFinalize")(descriptor);
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
  return Find<&cudnnBackendSetAttribute>("cudnnBackendSetAttribute")(descriptor, name, type, count, values);
}

cudnnStatus_t cudnnBackendGetAttribute(const cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t requested, std::int64_t* count,
                                       void* values) {
  return Find<&cudnnBackendGetAttribute>("cudnnBackendGetAttribute")(descriptor, name, type, requested, count, values);
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  return Find<&cudnnBackendExecute>("cudnnBackendExecute")(handle, plan, pack);
}

// Only builds without optimization refer to these, for operations that are never asked for.

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* descriptor) {
  return Find<&cudnnCreateFilterDescriptor>("cudnnCreateFilterDescriptor")(descriptor);
}

cudnnStatus_t cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t descriptor, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int rank, const int* extents) {
  return Find<&cudnnSetFilterNdDescriptor>("cudnnSetFilterNdDescriptor")(descriptor, type, format, rank, extents);
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t descriptor) {
  return Find<&cudnnDestroyFilterDescriptor>("cudnnDestroyFilterDescriptor")(descriptor);
}

cudnnStatus_t cudnnReorderFilterAndBias(cudnnHandle_t handle, cudnnFilterDescriptor_t descriptor,
                                        cudnnReorderType_t reorder, const void* filter, void* reordered_filter,
                                        int reorder_bias, const void* bias, void* reordered_bias) {
  return Find<&cudnnReorderFilterAndBias>("cudnnReorderFilterAndBias")(
      handle, descriptor, reorder, filter, reordered_filter, reorder_bias, bias, reordered_bias);
}

// cudnn-frontend also has an engine of its own for another operation that compiles kernels at run time. It is never
// asked for; these functions let it link.

nvrtcResult nvrtcCreateProgram(nvrtcProgram*, const char*, const char*, int, const char* const*, const char* const*) {
  return NVRTC_ERROR_INTERNAL_ERROR;
}
nvrtcResult nvrtcDestroyProgram(nvrtcProgram*) {
  return NVRTC_ERROR_INTERNAL_ERROR;
}
nvrtcResult nvrtcCompileProgram(nvrtcProgram, int, const char* const*) {
  return NVRTC_ERROR_INTERNAL_ERROR;
}
nvrtcResult nvrtcGetCUBIN(nvrtcProgram, char*) {
  return NVRTC_ERROR_INTERNAL_ERROR;
}
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram, std::size_t*) {
  return NVRTC_ERROR_INTERNAL_ERROR;
}
nvrtcResult nvrtcGetProgramLog(nvrtcProgram, char*) {
  return NVRTC_ERROR_INTERNAL_ERROR;
}
nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram, std::size_t*) {
  return NVRTC_ERROR_INTERNAL_ERROR;
}
