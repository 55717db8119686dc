#pragma once
// The ranks of one NCCL communicator, and what watches over them.

#include <nccl.h>

#include <functional>
#include <memory>
#include <string>

#include "comm/wait_limit.h"
#include "cuda/device/device.h"

namespace coat::cuda {

/// A started NCCL communicator. A thread asks NCCL for errors about once a second, and how long the caller has waited
/// for its device or in Start: for a rank that neither comes nor ends, waits would have no end. After the first error,
/// or a wait of `limit`, it ends what NCCL runs on this rank, so that waits end too. One caller at a time.
class NcclGroup {
 public:
  /// The same `id` on all ranks, which wait for one another. The warning of `limit` is a line on standard error of the
  /// first two ranks. Throws CommError when NCCL does not start on `device`, or not within ten minutes.
  NcclGroup(const ncclUniqueId& id, int rank, int size, CudaDevice& device, const WaitLimit& limit);
  /// Forgets what is recorded on the device, in which NCCL's work may be. Waits for the other ranks, but not while an
  /// exception is on its way or after a failure.
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  /// Throws CommError with the cause if NCCL has failed.
  void Check() const;

  /// Calls body(communicator), which starts collectives, as one group of NCCL's. body returns the first result that is
  /// not ncclSuccess. Throws CommError if anything fails.
  void Start(const std::function<ncclResult_t(ncclComm_t)>& body);

 private:
  struct Watch;

  CommError Failure(const std::string& cause) const;

  CudaDevice& device_;
  int rank_;
  int size_;
  int exceptions_;
  std::shared_ptr<Watch> watch_;
};

}  // namespace coat::cuda
