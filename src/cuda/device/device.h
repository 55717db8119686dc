#pragma once
// The CUDA device as the implementations in this folder see it.

#include <cuda_runtime_api.h>
#include <fmt/core.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <typeindex>

#include "base/context.h"
#include "base/device.h"
#include "base/error.h"
#include "cuda/open_device.h"

namespace coat::cuda {

namespace detail {
[[noreturn]] void ThrowCudaError(cudaError_t error, const char* call);
}  // namespace detail

/// One device, one workspace, and one stream on which everything is started, but the work of Beside on a second one.
class CudaDevice final : public Device {
 public:
  /// Bytes of the workspace at the least. An op may use all of it; what it holds does not outlive the op.
  static constexpr std::int64_t kWorkspaceBytes = 64 << 20;

  explicit CudaDevice(const CudaOptions& options);
  ~CudaDevice() override;
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  std::string Name() const override { return name_; }
  Memory ReadMemory() const override;
  std::int64_t workspace_bytes() const override { return workspace_bytes_; }
  void ReserveWorkspace(std::int64_t bytes) override { GrowWorkspace(bytes); }
  std::byte* Allocate(std::int64_t bytes) override;
  void Free(std::byte* block) noexcept override;
  void Upload(const void* host, void* device, std::int64_t bytes) override;
  void Download(const void* device, void* host, std::int64_t bytes) override;
  void Copy(const void* from, void* to, std::int64_t bytes) override;
  void Synchronize() override;
  void Recorded(std::string_view name, std::uint64_t version, const std::function<void()>& work) override;
  std::int64_t Beside(const std::function<void()>& work) override;
  void WaitFor(std::int64_t number) override;
  std::unique_ptr<DeviceClock> MakeClock() override;
  void PushRange(const char* name) noexcept override;
  void PopRange() noexcept override;
  void SetTrials(Trials trials) override { trials_ = trials; }
  std::string ExportTuning() const override;
  std::string ImportTuning(std::string_view text) override;
  std::string DescribeTuning() const override;

  const CudaOptions& options() const { return options_; }
  Trials trials() const { return trials_; }
  /// Where ops start their work now: ask for it in every op.
  cudaStream_t stream() const { return is_beside_ ? beside_ : stream_; }
  /// May move when it grows: ask for it in every op. Throws Error in the work of Beside, which does not have it.
  std::byte* workspace() const;
  /// Makes the workspace at least `bytes` long, for algorithms of libraries that need more than there is, and returns
  /// it. If it grows, it moves: work that was recorded is recorded anew when it is next asked for. Throws Error while
  /// recording, and when there is not enough memory.
  std::byte* GrowWorkspace(std::int64_t bytes);
  /// Waits if the device is many ops behind, so that no launch of a kernel waits for room in the driver's queue, where
  /// HostWaits would not see it. DeviceOf calls it for every op.
  void LimitBacklog();
  /// Waits for all work and forgets what was recorded: it is recorded anew when it is next asked for.
  void DropRecordings() noexcept;
  int multiprocessors() const { return multiprocessors_; }
  /// 10 * major + minor: 90 for Hopper.
  int compute_capability() const { return compute_capability_; }
  /// Whether work is being recorded now: nothing may wait for the device or be timed.
  bool recording() const { return recording_; }

  /// The one T of this device, made by T(CudaDevice&) when first asked for: what a library keeps, such as handles and
  /// plans.
  template <class T>
  T& Get() {
    std::shared_ptr<void>& slot = parts_[std::type_index(typeid(T))];
    if (!slot) slot = std::make_shared<T>(*this);
    return *static_cast<T*>(slot.get());
  }

 private:
  struct Recording {
    int runs = 0;
    std::uint64_t version = 0;
    cudaGraphExec_t graph = nullptr;
  };

  void Record(Recording& recording, const std::function<void()>& work);
  cudaEvent_t EndOf(std::int64_t number) const { return ends_[static_cast<std::size_t>(number) % ends_.size()]; }

  CudaOptions options_;
  Trials trials_ = Trials::kShort;
  std::string name_;
  int multiprocessors_ = 0;
  int compute_capability_ = 0;
  cudaStream_t stream_ = nullptr;
  cudaStream_t beside_ = nullptr;
  bool is_beside_ = false;        // the work of Beside is being started
  cudaEvent_t called_ = nullptr;  // what was called before it
  /// The ends of the last pieces of such work, by their numbers, in turn. One that was waited for late has the end of a
  /// later piece, which is behind its own.
  std::array<cudaEvent_t, 16> ends_ = {};
  std::int64_t started_ = 0;  // pieces
  std::int64_t seen_ = 0;     // of them, by the main stream
  std::byte* workspace_ = nullptr;
  std::int64_t workspace_bytes_ = 0;
  bool recording_ = false;
  std::int64_t ops_ = 0;          // that were not recorded
  cudaEvent_t behind_ = nullptr;  // the end of one that was started long before the last
  std::map<std::string, Recording, std::less<>> recordings_;
  std::map<std::type_index, std::shared_ptr<void>> parts_;
};

/// The device of a context on kCuda, for an op.
inline CudaDevice& DeviceOf(Context& ctx) {
  auto& device = static_cast<CudaDevice&>(*ctx.backend());
  device.LimitBacklog();
  return device;
}

}  // namespace coat::cuda

/// Runs a call of the CUDA runtime; throws Error with its name and the runtime's words if it fails. After a kernel
/// launch: COAT_CUDA(cudaGetLastError()).
#define COAT_CUDA(call)                                                               \
  do {                                                                                \
    if (const cudaError_t coat_cuda_error = (call); coat_cuda_error != cudaSuccess) { \
      ::coat::cuda::detail::ThrowCudaError(coat_cuda_error, #call);                   \
    }                                                                                 \
  } while (false)
