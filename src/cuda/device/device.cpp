#include "cuda/device/device.h"

#include <nvtx3/nvToolsExt.h>

#include <new>

#include "base/number_text.h"
#include "cuda/attention/attention_choice.h"
#include "cuda/device/device_clock.h"
#include "cuda/device/host_waits.h"
#include "cuda/gemm/gemm_plans.h"

namespace coat::cuda {

namespace detail {

void ThrowCudaError(cudaError_t error, const char* call) {
  throw Error(fmt::format("CUDA: {} ({}) in {}", cudaGetErrorString(error), cudaGetErrorName(error), call));
}

}  // namespace detail

std::shared_ptr<Device> OpenCudaDevice(const CudaOptions& options) {
  const CudaStatus status = CheckCudaDevice(options.ordinal);
  if (!status.usable) throw Error(status.reason);
  return std::make_shared<CudaDevice>(options);
}

std::string IdOf(const Device& device) {
  cudaDeviceProp properties = {};
  COAT_CUDA(cudaGetDeviceProperties(&properties, static_cast<const CudaDevice&>(device).options().ordinal));
  std::string id;
  for (const char byte : properties.uuid.bytes) id += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return id;
}

std::shared_ptr<std::byte[]> AllocateForHostAndDevice(std::size_t bytes) {
  void* block = nullptr;
  COAT_CUDA(cudaHostAlloc(&block, bytes, cudaHostAllocDefault));
  return {static_cast<std::byte*>(block), [](std::byte* p) { cudaFreeHost(p); }};
}

CudaDevice::CudaDevice(const CudaOptions& options) : options_(options) {
  COAT_CUDA(cudaSetDevice(options.ordinal));
  cudaDeviceProp properties = {};
  COAT_CUDA(cudaGetDeviceProperties(&properties, options.ordinal));
  name_ = properties.name;
  multiprocessors_ = properties.multiProcessorCount;
  compute_capability_ = 10 * properties.major + properties.minor;
  COAT_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  // Before the layers' kernels where both wait for multiprocessors: other ranks wait for what runs beside.
  int least = 0, greatest = 0;
  COAT_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  COAT_CUDA(cudaStreamCreateWithPriority(&beside_, cudaStreamNonBlocking, greatest));
  COAT_CUDA(cudaEventCreateWithFlags(&called_, cudaEventDisableTiming));
  COAT_CUDA(cudaEventCreateWithFlags(&behind_, cudaEventDisableTiming));
  for (cudaEvent_t& end : ends_) COAT_CUDA(cudaEventCreateWithFlags(&end, cudaEventDisableTiming));
  Get<HostWaits>();  // DropRecordings, which may not throw, finds it
  GrowWorkspace(kWorkspaceBytes);
}

CudaDevice::~CudaDevice() {
  DropRecordings();
  parts_.clear();
  cudaFree(workspace_);
  for (cudaEvent_t end : ends_) cudaEventDestroy(end);
  cudaEventDestroy(behind_);
  cudaEventDestroy(called_);
  cudaStreamDestroy(beside_);
  cudaStreamDestroy(stream_);
}

Device::Memory CudaDevice::ReadMemory() const {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  COAT_CUDA(cudaMemGetInfo(&free_bytes, &total_bytes));
  return {static_cast<std::int64_t>(free_bytes), static_cast<std::int64_t>(total_bytes)};
}

std::byte* CudaDevice::Allocate(std::int64_t bytes) {
  void* block = nullptr;
  const cudaError_t error = cudaMalloc(&block, static_cast<std::size_t>(bytes));
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // the error is handled
    throw std::bad_alloc();
  }
  COAT_CUDA(error);
  COAT_CUDA(cudaMemsetAsync(block, 0, static_cast<std::size_t>(bytes), stream_));
  return static_cast<std::byte*>(block);
}

void CudaDevice::Free(std::byte* block) noexcept {
  cudaFree(block);
}

std::byte* CudaDevice::workspace() const {
  COAT_REQUIRE(!is_beside_, "the workspace, asked for by work that runs beside the work that has it");
  return workspace_;
}

std::byte* CudaDevice::GrowWorkspace(std::int64_t bytes) {
  COAT_REQUIRE(!is_beside_, "the workspace, asked for by work that runs beside the work that has it");
  if (bytes <= workspace_bytes_) return workspace_;
  if (recording_) throw Error(fmt::format("CUDA: the workspace cannot grow to {} bytes while work is recorded", bytes));
  DropRecordings();
  Free(workspace_);
  workspace_ = nullptr;
  workspace_bytes_ = 0;
  try {
    workspace_ = Allocate(bytes);
  } catch (const std::bad_alloc&) {
    const Memory memory = ReadMemory();
    throw Error(fmt::format(
        "CUDA: out of memory: the workspace needs {}, and {} of {} are free; a smaller device_train_microbatch_size or "
        "activation_checkpointing: whole_layer makes room for it",
        InBinaryUnits(bytes), InBinaryUnits(memory.free_bytes), InBinaryUnits(memory.total_bytes)));
  }
  workspace_bytes_ = bytes;
  return workspace_;
}

void CudaDevice::Upload(const void* host, void* device, std::int64_t bytes) {
  const HostWaits::Wait wait(Get<HostWaits>());
  COAT_CUDA(cudaMemcpyAsync(device, host, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream_));
  COAT_CUDA(cudaStreamSynchronize(stream_));
}

void CudaDevice::Download(const void* device, void* host, std::int64_t bytes) {
  const HostWaits::Wait wait(Get<HostWaits>());
  COAT_CUDA(cudaMemcpyAsync(host, device, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream_));
  COAT_CUDA(cudaStreamSynchronize(stream_));
}

void CudaDevice::Copy(const void* from, void* to, std::int64_t bytes) {
  COAT_CUDA(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream()));
}

void CudaDevice::Synchronize() {
  const HostWaits::Wait wait(Get<HostWaits>());
  COAT_CUDA(cudaStreamSynchronize(stream_));
  COAT_CUDA(cudaStreamSynchronize(beside_));
}

void CudaDevice::Recorded(std::string_view name, std::uint64_t version, const std::function<void()>& work) {
  if (!options_.graphs) return work();
  auto found = recordings_.find(name);
  if (found == recordings_.end()) found = recordings_.emplace(std::string(name), Recording()).first;
  Recording& recording = found->second;
  // The first run is as it is: libraries set themselves up, products are timed.
  if (recording.runs++ == 0) return work();
  if (recording.graph == nullptr || recording.version != version) {
    Record(recording, work);
    recording.version = version;
  }
  const HostWaits::Wait wait(Get<HostWaits>());  // for room for the launch
  COAT_CUDA(cudaGraphLaunch(recording.graph, stream_));
}

void CudaDevice::Record(Recording& recording, const std::function<void()>& work) {
  COAT_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  recording_ = true;
  try {
    work();
  } catch (...) {
    recording_ = false;
    cudaStreamEndCapture(stream_, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();  // work beside that nobody waited for is part of what is thrown
    throw;
  }
  recording_ = false;
  COAT_CUDA(cudaStreamEndCapture(stream_, &graph));
  const std::unique_ptr<CUgraph_st, cudaError_t (*)(cudaGraph_t)> owner(graph, &cudaGraphDestroy);
  if (recording.graph != nullptr) {
    cudaGraphExecUpdateResultInfo result = {};
    if (cudaGraphExecUpdate(recording.graph, graph, &result) == cudaSuccess) return;
    cudaGetLastError();  // not updatable in place: made anew
    {
      const HostWaits::Wait wait(Get<HostWaits>());
      COAT_CUDA(cudaStreamSynchronize(stream_));
    }
    COAT_CUDA(cudaGraphExecDestroy(recording.graph));
    recording.graph = nullptr;
  }
  // A graph runs with one priority for all, unless it is told that beside_ has another.
  const unsigned long long flags = started_ > 0 ? cudaGraphInstantiateFlagUseNodePriority : 0;
  COAT_CUDA(cudaGraphInstantiate(&recording.graph, graph, flags));
}

std::int64_t CudaDevice::Beside(const std::function<void()>& work) {
  COAT_REQUIRE(!is_beside_, "work beside work that runs beside; expected one after the other");
  COAT_CUDA(cudaEventRecord(called_, stream_));
  COAT_CUDA(cudaStreamWaitEvent(beside_, called_));
  is_beside_ = true;
  try {
    work();
  } catch (...) {
    is_beside_ = false;
    throw;
  }
  is_beside_ = false;
  ++started_;
  COAT_CUDA(cudaEventRecord(EndOf(started_), beside_));
  return started_;
}

void CudaDevice::WaitFor(std::int64_t number) {
  if (number <= seen_) return;
  COAT_CUDA(cudaStreamWaitEvent(stream_, EndOf(number)));
  seen_ = number;
}

std::unique_ptr<DeviceClock> CudaDevice::MakeClock() {
  return std::make_unique<CudaClock>(*this);
}

void CudaDevice::PushRange(const char* name) noexcept {
  nvtxRangePushA(name);
}

void CudaDevice::PopRange() noexcept {
  nvtxRangePop();
}

std::string CudaDevice::ExportTuning() const {
  const auto plans = parts_.find(std::type_index(typeid(GemmPlans)));
  return plans == parts_.end() ? "" : static_cast<const GemmPlans*>(plans->second.get())->Export();
}

std::string CudaDevice::ImportTuning(std::string_view text) {
  return text.empty() ? "" : Get<GemmPlans>().Import(text);
}

std::string CudaDevice::DescribeTuning() const {
  std::string text;
  if (const auto plans = parts_.find(std::type_index(typeid(GemmPlans))); plans != parts_.end()) {
    text = static_cast<const GemmPlans*>(plans->second.get())->Describe();
  }
  if (const auto choice = parts_.find(std::type_index(typeid(AttentionChoice))); choice != parts_.end()) {
    text += (text.empty() ? "" : "; ") + static_cast<const AttentionChoice*>(choice->second.get())->Describe();
  }
  return text;
}

void CudaDevice::LimitBacklog() {
  // Twice as many ops may be in the queue, of one to five kernels each, most of one; drivers take about a thousand.
  constexpr std::int64_t kOps = 128;
  if (recording_ || is_beside_ || ++ops_ % kOps != 0) return;
  {
    const HostWaits::Wait wait(Get<HostWaits>());
    COAT_CUDA(cudaEventSynchronize(behind_));
  }
  COAT_CUDA(cudaEventRecord(behind_, stream_));
}

void CudaDevice::DropRecordings() noexcept {
  const HostWaits::Wait wait(Get<HostWaits>());
  cudaStreamSynchronize(stream_);
  cudaStreamSynchronize(beside_);
  for (auto& [name, recording] : recordings_) {
    if (recording.graph != nullptr) cudaGraphExecDestroy(recording.graph);
    recording.graph = nullptr;
  }
}

}  // namespace coat::cuda
