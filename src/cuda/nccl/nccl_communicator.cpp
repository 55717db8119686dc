// The collectives of tensors on GPUs, by NCCL (cuda/open_nccl.h).

#include <nccl.h>

#include <cstring>
#include <utility>

#include "base/error.h"
#include "comm/agreement.h"
#include "comm/same_values.h"
#include "cuda/device/device.h"
#include "cuda/nccl/float_order.h"
#include "cuda/nccl/nccl_group.h"
#include "cuda/nccl/nccl_library.h"
#include "cuda/open_nccl.h"

namespace coat::cuda {

namespace {

std::size_t BytesOf(TensorView x) {
  return static_cast<std::size_t>(x.bytes());
}

/// Throws on every rank when NCCL is not there on one, or is of another version.
void RequireSameNccl(Communicator& host) {
  int version = 0;
  Together(host, [&] {
    if (LoadNccl().GetVersion(&version) != ncclSuccess) throw Error("NCCL does not tell its version");
  });
  const NamedValue found = {"NCCL", std::to_string(version)};
  RequireSame(host, std::span(&found, 1), "the same version of libnccl.so.2 on all ranks");
}

/// What the ranks need to find one another: rank 0 makes it.
ncclUniqueId ShareId(Communicator& host) {
  ncclUniqueId id = {};
  Agreement agreement(host);
  agreement.Try([&] {
    if (host.rank() != 0) return;
    const ncclResult_t result = LoadNccl().GetUniqueId(&id);
    if (result != ncclSuccess) throw Error(NcclWords(result, nullptr));
  });
  const std::string text(id.internal, sizeof(id.internal));
  const std::string of_first = agreement.Meet(text).front();
  std::memcpy(id.internal, of_first.data(), sizeof(id.internal));
  return id;
}

class NcclRanks final : public Communicator {
 public:
  /// `host` belongs to this object if it is `owned`.
  NcclRanks(Communicator& host, std::shared_ptr<Device> device, const WaitLimit& limit,
            std::unique_ptr<Communicator> owned)
      : owned_(std::move(owned)),
        host_(host),
        device_(std::move(device)),
        limit_(limit),
        rank_(host.rank()),
        size_(host.size()) {
    if (size_ == 1) return;
    RequireSameNccl(host_);
    group_ = std::make_unique<NcclGroup>(ShareId(host_), rank_, size_, TheDevice(), limit_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void AllGather(Context& ctx, std::span<const SharedTensor> tensors) override {
    if (!Moves(ctx)) return;
    for (const SharedTensor& tensor : tensors) Require(ctx, tensor.whole, tensor.unit);
    group_->Start([&](ncclComm_t comm) {
      for (const SharedTensor& tensor : tensors) {
        if (const ncclResult_t result = Gather(comm, tensor); result != ncclSuccess) return result;
      }
      return ncclSuccess;
    });
  }

  void ReduceScatter(Context& ctx, std::span<const SharedTensor> tensors) override {
    if (!Moves(ctx)) return;
    for (const SharedTensor& tensor : tensors) {
      Require(ctx, tensor.whole, tensor.unit);
      NcclTypeOf(tensor.whole.dtype());
    }
    group_->Start([&](ncclComm_t comm) {
      for (const SharedTensor& tensor : tensors) {
        if (const ncclResult_t result = Scatter(comm, tensor); result != ncclSuccess) return result;
      }
      return ncclSuccess;
    });
  }

  void AllReduce(Context& ctx, std::span<const TensorView> tensors, Reduction reduction) override {
    if (!Moves(ctx)) return;
    const bool is_sum = reduction == Reduction::kSum;
    for (const TensorView& tensor : tensors) {
      Require(ctx, tensor, 1);
      COAT_REQUIRE(is_sum || tensor.dtype() == DType::kF32, "the maximum of {} over ranks; expected f32",
                   NameOf(tensor.dtype()));
      NcclTypeOf(tensor.dtype());
    }
    // NCCL's maximum of floats passes over NaN.
    if (!is_sum) {
      for (const TensorView& tensor : tensors) FloatsToOrder(tensor.As<float>(), tensor.elements(), Stream());
    }
    group_->Start([&](ncclComm_t comm) {
      for (const TensorView& tensor : tensors) {
        if (tensor.elements() == 0) continue;
        const ncclResult_t result = LoadNccl().AllReduce(
            tensor.data(), tensor.data(), static_cast<std::size_t>(tensor.elements()),
            is_sum ? NcclTypeOf(tensor.dtype()) : ncclInt32, is_sum ? ncclSum : ncclMax, comm, Stream());
        if (result != ncclSuccess) return result;
      }
      return ncclSuccess;
    });
    if (!is_sum) {
      for (const TensorView& tensor : tensors) OrderToFloats(tensor.As<float>(), tensor.elements(), Stream());
    }
  }

  void AllReduce(std::span<double> values, Reduction reduction) override {
    Check();
    host_.AllReduce(values, reduction);
  }

  std::vector<std::string> AllGatherText(const std::string& text) override {
    Check();
    return host_.AllGatherText(text);
  }

  std::unique_ptr<Communicator> Split(int color) override {
    Check();
    std::unique_ptr<Communicator> host = host_.Split(color);
    Communicator& part = *host;
    WaitLimit limit = limit_;
    limit.warning = limit.end;  // these ranks warn already
    try {
      return std::make_unique<NcclRanks>(part, device_, limit, std::move(host));
    } catch (Error& error) {
      error.is_of_all_ranks = false;  // of this part's, while the others may wait for them
      throw;
    }
  }

  void Abort(int exit_code) noexcept override { host_.Abort(exit_code); }

 private:
  CudaDevice& TheDevice() const { return static_cast<CudaDevice&>(*device_); }
  cudaStream_t Stream() const { return TheDevice().stream(); }

  bool Moves(const Context& ctx) const { return size_ > 1 && ctx.device() != DeviceKind::kMeta; }

  void Check() const {
    if (group_) group_->Check();
  }

  void Require(const Context& ctx, TensorView tensor, std::int64_t unit) const {
    COAT_REQUIRE(
        ctx.backend() == device_ && tensor.device() == DeviceKind::kCuda,
        "a collective among {} of a context on {}; these ranks move tensors on the device they were opened with",
        ConstTensorView(tensor).ToString(), NameOf(ctx.device()));
    COAT_REQUIRE(unit >= 1, "a tensor shared in units of {} elements; expected at least 1", unit);
  }

  Part PartOf(const SharedTensor& tensor, int rank) const {
    return coat::PartOf(tensor.whole.elements(), tensor.unit, rank, size_);
  }

  /// Whether all ranks have as much of the tensor, which is what NCCL's own collectives of parts take.
  bool IsEven(const SharedTensor& tensor) const { return PartOf(tensor, 0).count * size_ == tensor.whole.elements(); }

  ncclResult_t Gather(ncclComm_t comm, const SharedTensor& tensor) const {
    if (tensor.whole.elements() == 0) return ncclSuccess;
    if (IsEven(tensor)) {
      const TensorView mine = ViewOf(tensor.whole, PartOf(tensor, rank_));
      return LoadNccl().AllGather(mine.data(), tensor.whole.data(), BytesOf(mine), ncclUint8, comm, Stream());
    }
    for (int rank = 0; rank < size_; ++rank) {
      const TensorView part = ViewOf(tensor.whole, PartOf(tensor, rank));
      if (part.elements() == 0) break;  // those after it have nothing either
      const ncclResult_t result =
          LoadNccl().Broadcast(part.data(), part.data(), BytesOf(part), ncclUint8, rank, comm, Stream());
      if (result != ncclSuccess) return result;
    }
    return ncclSuccess;
  }

  ncclResult_t Scatter(ncclComm_t comm, const SharedTensor& tensor) const {
    if (tensor.whole.elements() == 0) return ncclSuccess;
    const ncclDataType_t type = NcclTypeOf(tensor.whole.dtype());
    if (IsEven(tensor)) {
      const TensorView mine = ViewOf(tensor.whole, PartOf(tensor, rank_));
      return LoadNccl().ReduceScatter(tensor.whole.data(), mine.data(), static_cast<std::size_t>(mine.elements()), type,
                                      ncclSum, comm, Stream());
    }
    for (int rank = 0; rank < size_; ++rank) {
      const TensorView part = ViewOf(tensor.whole, PartOf(tensor, rank));
      if (part.elements() == 0) break;
      const ncclResult_t result = LoadNccl().Reduce(part.data(), part.data(), static_cast<std::size_t>(part.elements()),
                                                    type, ncclSum, rank, comm, Stream());
      if (result != ncclSuccess) return result;
    }
    return ncclSuccess;
  }

  std::unique_ptr<Communicator> owned_;
  Communicator& host_;
  std::shared_ptr<Device> device_;
  WaitLimit limit_;
  int rank_;
  int size_;
  std::unique_ptr<NcclGroup> group_;
};

}  // namespace

std::unique_ptr<Communicator> OpenNccl(Communicator& host, std::shared_ptr<Device> device, const WaitLimit& limit) {
  return std::make_unique<NcclRanks>(host, std::move(device), limit, nullptr);
}

}  // namespace coat::cuda
