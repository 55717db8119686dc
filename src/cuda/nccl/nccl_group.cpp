#include "cuda/nccl/nccl_group.h"

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"
#include "cuda/device/host_waits.h"
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
  bool is_starting = false;   // the caller is in Start, with comm
  std::string name;           // of the rank, for the warning; empty: it does not warn
  WaitLimit limit;
  std::shared_ptr<const HostWaits::Count> waits;
  HostWaits::Count::value_type wait_number = 0;  // the one that was seen last
  std::optional<LimitedWait> wait;               // and how long it has been

  void Run() {
    std::unique_lock<std::mutex> lock(mutex);
    while (!is_over && problem.empty()) {
      changed.wait_for(lock, kBetweenLooks);
      if (problem.empty() && !is_starting) LookForError();
      if (problem.empty()) LookForWait();
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

  void LookForError() {
    ncclResult_t state = ncclSuccess;
    const ncclResult_t result = LoadNccl().CommGetAsyncError(comm, &state);
    const ncclResult_t error = IsError(result) ? result : state;
    if (IsError(error)) problem = NcclWords(error, comm);
  }

  void LookForWait() {
    const HostWaits::Count::value_type number = waits->load();
    if (number % 2 == 0 || number != wait_number) wait.reset();
    wait_number = number;
    if (number % 2 == 0) return;
    const LimitedWait::Time now = std::chrono::steady_clock::now();
    if (!wait) wait.emplace(limit, now);
    const LimitedWait::Look look = wait->At(now);
    if (look == LimitedWait::Look::kWarn && !name.empty()) {
      std::fprintf(stderr,
                   "coat: warning: %s has waited %.0f s for its GPU and the ranks that this waits for; the run "
                   "ends after %.0f s (COAT_RANK_TIMEOUT)\n",
                   name.c_str(), wait->seconds(), limit.end);
    }
    if (look != LimitedWait::Look::kEnd) return;
    problem = fmt::format(
        "has waited {:.0f} s for its GPU, whose work in NCCL waits for that of another rank, which neither comes nor "
        "ends: its process is stopped, or its machine, its GPU or the network hangs. Where a rank does need so long, "
        "COAT_RANK_TIMEOUT in the environment takes more seconds",
        wait->seconds());
  }
};

NcclGroup::NcclGroup(const ncclUniqueId& id, int rank, int size, CudaDevice& device, const WaitLimit& limit)
    : device_(device),
      rank_(rank),
      size_(size),
      exceptions_(std::uncaught_exceptions()),
      watch_(std::make_shared<Watch>()) {
  std::string problem;
  watch_->comm = Init(id, rank, size, device.options().ordinal, problem);
  if (!problem.empty()) throw Failure(problem);
  if (rank < 2) watch_->name = fmt::format("rank {} of {}", rank, size);
  watch_->limit = limit;
  watch_->waits = device.Get<HostWaits>().count();
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
  ncclComm_t comm = nullptr;
  {
    const std::lock_guard<std::mutex> lock(watch_->mutex);
    if (!watch_->problem.empty()) throw Failure(watch_->problem);
    comm = watch_->comm;
    watch_->is_starting = true;
  }
  // NCCL waits for other ranks where it connects to them for the first time.
  const ncclResult_t result = [&] {
    const HostWaits::Wait wait(device_.Get<HostWaits>());
    const Nccl& nccl = LoadNccl();
    const ncclResult_t start = nccl.GroupStart();
    if (start != ncclSuccess) return start;
    const ncclResult_t calls = body(comm);
    const ncclResult_t end = nccl.GroupEnd();
    return calls == ncclSuccess ? end : calls;
  }();
  const std::lock_guard<std::mutex> lock(watch_->mutex);
  watch_->is_starting = false;
  if (watch_->problem.empty() && result != ncclSuccess) watch_->problem = NcclWords(result, watch_->comm);
  watch_->changed.notify_all();
  if (!watch_->problem.empty()) throw Failure(watch_->problem);
}

}  // namespace coat::cuda
