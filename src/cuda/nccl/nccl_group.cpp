#include "cuda/nccl/nccl_group.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <future>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"
#include "cuda/nccl/nccl_library.h"

namespace coat::cuda {

namespace {

constexpr auto kTimeToStart = std::chrono::minutes(10);
constexpr auto kTimeToEnd = std::chrono::seconds(30);
constexpr auto kBetweenLooks = std::chrono::seconds(1);

bool IsError(ncclResult_t result) {
  return result != ncclSuccess && result != ncclInProgress;
}

/// ncclCommInitRank on a thread of its own, which stays behind where it does not come back in time.
ncclComm_t Init(const ncclUniqueId& id, int rank, int size, int ordinal, std::string& problem) {
  auto promise = std::make_shared<std::promise<std::pair<ncclComm_t, std::string>>>();
  std::future<std::pair<ncclComm_t, std::string>> future = promise->get_future();
  const auto init = [=] {
    ncclComm_t comm = nullptr;
    std::string words;
    if (const cudaError_t error = cudaSetDevice(ordinal); error != cudaSuccess) {
      words = cudaGetErrorString(error);
    } else if (const ncclResult_t result = LoadNccl().CommInitRank(&comm, size, id, rank); result != ncclSuccess) {
      words = NcclWords(result, nullptr);
    }
    promise->set_value({comm, words});
  };
  StartThread("NCCL", [&] { return std::thread(init); }).detach();
  if (future.wait_for(kTimeToStart) != std::future_status::ready) {
    problem =
        "NCCL has not started within ten minutes: a rank has not come, or the network between the ranks is blocked "
        "(NCCL_DEBUG=INFO in the environment tells more)";
    return nullptr;
  }
  ncclComm_t comm = nullptr;
  std::tie(comm, problem) = future.get();
  return comm;
}

}  // namespace

/// What the thread shares with the group; it may outlive the group.
struct NcclGroup::Watch {
  std::mutex mutex;
  std::condition_variable changed;
  ncclComm_t comm = nullptr;  // null once it is aborted
  std::string problem;        // why
  bool is_over = false;       // the group is being destroyed
  bool is_lost = false;       // and waits for no other rank
  bool has_ended = false;     // the thread

  void Run() {
    std::unique_lock<std::mutex> lock(mutex);
    while (!is_over && problem.empty()) {
      changed.wait_for(lock, kBetweenLooks);
      ncclResult_t state = ncclSuccess;
      const ncclResult_t result = LoadNccl().CommGetAsyncError(comm, &state);
      const ncclResult_t error = IsError(result) ? result : state;
      if (problem.empty() && IsError(error)) problem = NcclWords(error, comm);
    }
    if (is_lost || !problem.empty()) {
      ncclComm_t const aborted = std::exchange(comm, nullptr);
      // Not under the lock: it waits until work that was recorded is forgotten, by the destructor at the latest.
      lock.unlock();
      LoadNccl().CommAbort(aborted);
      lock.lock();
    }
    has_ended = true;
    changed.notify_all();
  }
};

NcclGroup::NcclGroup(const ncclUniqueId& id, int rank, int size, CudaDevice& device)
    : device_(device),
      rank_(rank),
      size_(size),
      exceptions_(std::uncaught_exceptions()),
      watch_(std::make_shared<Watch>()) {
  std::string problem;
  watch_->comm = Init(id, rank, size, device.options().ordinal, problem);
  if (!problem.empty()) throw Failure(problem);
  StartThread("NCCL", [this] { return std::thread([watch = watch_] { watch->Run(); }); }).detach();
}

NcclGroup::~NcclGroup() {
  {
    const std::lock_guard<std::mutex> lock(watch_->mutex);
    watch_->is_over = true;
    watch_->is_lost = std::uncaught_exceptions() > exceptions_;
    watch_->changed.notify_all();
  }
  // NCCL's communicators are there until the graphs that use them are not.
  device_.DropRecordings();
  std::unique_lock<std::mutex> lock(watch_->mutex);
  const bool has_ended = watch_->changed.wait_for(lock, kTimeToEnd, [&] { return watch_->has_ended; });
  if (has_ended && watch_->comm != nullptr) LoadNccl().CommDestroy(watch_->comm);
}

CommError NcclGroup::Failure(const std::string& cause) const {
  return CommError(fmt::format("rank {} of {}: {}", rank_, size_, cause));
}

void NcclGroup::Check() const {
  const std::lock_guard<std::mutex> lock(watch_->mutex);
  if (!watch_->problem.empty()) throw Failure(watch_->problem);
}

void NcclGroup::Start(const std::function<ncclResult_t(ncclComm_t)>& body) {
  // Held while NCCL starts its work, so that the communicator stays. That waits for other ranks at most where NCCL
  // connects to them for the first time.
  const std::lock_guard<std::mutex> lock(watch_->mutex);
  if (!watch_->problem.empty()) throw Failure(watch_->problem);
  const Nccl& nccl = LoadNccl();
  ncclResult_t result = nccl.GroupStart();
  if (result == ncclSuccess) {
    result = body(watch_->comm);
    const ncclResult_t end = nccl.GroupEnd();
    if (result == ncclSuccess) result = end;
  }
  if (result == ncclSuccess) return;
  watch_->problem = NcclWords(result, watch_->comm);
  watch_->changed.notify_all();
  throw Failure(watch_->problem);
}

}  // namespace coat::cuda
