#include "comm/ranks.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/divide.h"
#include "base/error.h"
#include "comm/reduce.h"

namespace coat {

namespace {

/// Bytes of what the other ranks have sent of a rank's part and that is not yet summed, all of them together.
constexpr std::int64_t kStagingBytes = 64 << 20;
/// The least for one of them: a message that is worth its latency.
constexpr std::int64_t kLeastStagingBytes = 64 << 10;
/// Slices start at multiples of it, so that any type is aligned.
constexpr std::int64_t kAlignment = 64;

constexpr std::int64_t Aligned(std::int64_t bytes) {
  return RoundUp(bytes, kAlignment);
}

/// Elements [offset, offset + count) of every rank's part of one of the tensors of a call; those beyond a shorter
/// part's end are not there.
struct Slice {
  std::size_t tensor = 0;
  std::int64_t offset = 0;
  std::int64_t count = 0;
};

std::byte* BytesOf(const SharedTensor& tensor, Part part) {
  return tensor.whole.As<std::byte>() + part.first * SizeOf(tensor.whole.dtype());
}

class Ranks final : public Communicator {
 public:
  explicit Ranks(std::unique_ptr<Transport> transport)
      : transport_(std::move(transport)), rank_(transport_->rank()), size_(transport_->size()) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void AllGather(Context& ctx, std::span<const SharedTensor> tensors) override {
    if (!Moves(ctx)) return;
    sends_.clear();
    receives_.clear();
    for (const SharedTensor& tensor : tensors) {
      Require(ctx, tensor);
      const Part mine = PartOf(tensor, rank_);
      for (int step = 1; step < size_; ++step) {
        Send((rank_ + step) % size_, tensor, mine);
        const int from = (rank_ + size_ - step) % size_;
        const Part theirs = PartOf(tensor, from);
        Receive(from, BytesOf(tensor, theirs), theirs.count * SizeOf(tensor.whole.dtype()));
      }
    }
    transport_->Exchange(sends_, receives_);
  }

  void ReduceScatter(Context& ctx, std::span<const SharedTensor> tensors) override {
    if (!Moves(ctx)) return;
    ReduceParts(ctx, tensors, Reduction::kSum);
  }

  void AllReduce(Context& ctx, std::span<const TensorView> tensors, Reduction reduction) override {
    if (!Moves(ctx)) return;
    std::vector<SharedTensor> shared;
    shared.reserve(tensors.size());
    for (const TensorView& tensor : tensors) shared.push_back({tensor, 1});
    ReduceParts(ctx, shared, reduction);
    AllGather(ctx, shared);
  }

  void AllReduce(std::span<double> values, Reduction reduction) override {
    const std::vector<double> mine(values.begin(), values.end());
    std::vector<double> all(values.size() * static_cast<std::size_t>(size_));
    const std::vector<std::int64_t> bytes(static_cast<std::size_t>(size_),
                                          static_cast<std::int64_t>(values.size_bytes()));
    transport_->AllGather(reinterpret_cast<const std::byte*>(mine.data()), reinterpret_cast<std::byte*>(all.data()),
                          bytes);
    for (std::size_t i = 0; i < values.size(); ++i) {
      double total = all[i];
      for (std::size_t at = i + values.size(); at < all.size(); at += values.size()) {
        const double next = all[at];
        if (reduction == Reduction::kSum) {
          total += next;
        } else if (!std::isnan(total) && !(total > next)) {
          total = next;
        }
      }
      values[i] = total;
    }
  }

  std::vector<std::string> AllGatherText(const std::string& text) override {
    const auto ranks = static_cast<std::size_t>(size_);
    const auto mine = static_cast<std::int64_t>(text.size());
    std::vector<std::int64_t> bytes(ranks);
    transport_->AllGather(reinterpret_cast<const std::byte*>(&mine), reinterpret_cast<std::byte*>(bytes.data()),
                          std::vector<std::int64_t>(ranks, sizeof(mine)));
    std::string all(static_cast<std::size_t>(std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0})), '\0');
    transport_->AllGather(reinterpret_cast<const std::byte*>(text.data()), reinterpret_cast<std::byte*>(all.data()),
                          bytes);
    std::vector<std::string> texts;
    std::size_t begin = 0;
    for (const std::int64_t length : bytes) {
      texts.push_back(all.substr(begin, static_cast<std::size_t>(length)));
      begin += static_cast<std::size_t>(length);
    }
    return texts;
  }

  std::unique_ptr<Communicator> Split(int color) override { return MakeRanks(transport_->Split(color)); }

  void Abort(int exit_code) noexcept override { transport_->Abort(exit_code); }

 private:
  bool Moves(const Context& ctx) const { return size_ > 1 && ctx.device() != DeviceKind::kMeta; }

  Part PartOf(const SharedTensor& tensor, int rank) const {
    return coat::PartOf(tensor.whole.elements(), tensor.unit, rank, size_);
  }

  static void Require(const Context& ctx, const SharedTensor& tensor) {
    COAT_REQUIRE(ctx.device() == DeviceKind::kCpu && tensor.whole.device() == DeviceKind::kCpu,
                 "a collective among {} of a context on {}; these ranks move tensors on cpu",
                 ConstTensorView(tensor.whole).ToString(), NameOf(ctx.device()));
    COAT_REQUIRE(tensor.unit >= 1, "a tensor shared in units of {} elements; expected at least 1", tensor.unit);
  }

  void Send(int peer, const SharedTensor& tensor, Part part) {
    if (part.count > 0) sends_.push_back({peer, BytesOf(tensor, part), part.count * SizeOf(tensor.whole.dtype())});
  }
  void Receive(int peer, std::byte* data, std::int64_t bytes) {
    if (bytes > 0) receives_.push_back({peer, data, bytes});
  }

  /// What of rank `rank`'s part of a tensor is in the slice.
  Part Within(const SharedTensor& tensor, const Slice& slice, int rank) const {
    const Part part = PartOf(tensor, rank);
    const std::int64_t offset = std::min(slice.offset, part.count);
    return {part.first + offset, std::min(slice.count, part.count - offset)};
  }

  /// Each rank's own part of each tensor becomes its reduction over the ranks.
  void ReduceParts(Context& ctx, std::span<const SharedTensor> tensors, Reduction reduction) {
    for (const SharedTensor& tensor : tensors) {
      Require(ctx, tensor);
      RequireReducible(tensor.whole.dtype(), reduction);
    }
    const std::int64_t budget = std::max(kStagingBytes / (size_ - 1) / kAlignment * kAlignment, kLeastStagingBytes);
    std::vector<Slice> round;
    std::int64_t bytes = 0;
    for (std::size_t index = 0; index < tensors.size(); ++index) {
      const std::int64_t element = SizeOf(tensors[index].whole.dtype());
      const std::int64_t longest = PartOf(tensors[index], 0).count;
      for (std::int64_t offset = 0; offset < longest;) {
        const std::int64_t count = std::min((budget - bytes) / element, longest - offset);
        round.push_back({index, offset, count});
        offset += count;
        bytes += Aligned(count * element);
        if (bytes == budget) {
          ReduceRound(ctx, tensors, round, bytes, reduction);
          round.clear();
          bytes = 0;
        }
      }
    }
    if (!round.empty()) ReduceRound(ctx, tensors, round, bytes, reduction);
  }

  /// The same for slices that take `bytes` bytes of staging a rank.
  void ReduceRound(Context& ctx, std::span<const SharedTensor> tensors, std::span<const Slice> slices,
                   std::int64_t bytes, Reduction reduction) {
    // What a rank has sent lies together, so that an element's address within it depends on the slices alone.
    staging_.resize(std::max(staging_.size(), static_cast<std::size_t>(bytes * (size_ - 1))));
    const auto from_rank = [&](int rank) { return staging_.data() + bytes * (rank < rank_ ? rank : rank - 1); };
    sends_.clear();
    receives_.clear();
    for (int step = 1; step < size_; ++step) {
      const int to = (rank_ + step) % size_;
      const int from = (rank_ + size_ - step) % size_;
      std::byte* place = from_rank(from);
      for (const Slice& slice : slices) {
        const SharedTensor& tensor = tensors[slice.tensor];
        const std::int64_t element = SizeOf(tensor.whole.dtype());
        Send(to, tensor, Within(tensor, slice, to));
        Receive(from, place, Within(tensor, slice, rank_).count * element);
        place += Aligned(slice.count * element);
      }
    }
    transport_->Exchange(sends_, receives_);

    std::vector<const std::byte*> sources(static_cast<std::size_t>(size_));
    std::int64_t place = 0;
    for (const Slice& slice : slices) {
      const SharedTensor& tensor = tensors[slice.tensor];
      const Part mine = Within(tensor, slice, rank_);
      std::byte* out = BytesOf(tensor, mine);
      for (int rank = 0; rank < size_; ++rank) {
        sources[static_cast<std::size_t>(rank)] = rank == rank_ ? out : from_rank(rank) + place;
      }
      ReduceInOrder(ctx, sources, out, mine.count, tensor.whole.dtype(), reduction);
      place += Aligned(slice.count * SizeOf(tensor.whole.dtype()));
    }
  }

  std::unique_ptr<Transport> transport_;
  int rank_;
  int size_;
  std::vector<Transport::Outgoing> sends_;
  std::vector<Transport::Incoming> receives_;
  std::vector<std::byte> staging_;
};

}  // namespace

std::unique_ptr<Communicator> MakeRanks(std::unique_ptr<Transport> transport) {
  return std::make_unique<Ranks>(std::move(transport));
}

}  // namespace coat
