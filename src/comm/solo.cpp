#include "comm/solo.h"

#include <cstdlib>

#include "base/error.h"

namespace coat {

namespace {

class Solo final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void AllGather(Context&, std::span<const SharedTensor>) override {}
  void ReduceScatter(Context&, std::span<const SharedTensor>) override {}
  void AllReduce(Context&, std::span<const TensorView>, Reduction) override {}
  void AllReduce(std::span<double>, Reduction) override {}
  std::vector<std::string> AllGatherText(const std::string& text) override { return {text}; }
  std::unique_ptr<Communicator> Split(int) override { return MakeSolo(); }
  void Abort(int exit_code) noexcept override { std::_Exit(exit_code); }
};

class Measuring final : public Communicator {
 public:
  Measuring(int rank, int size) : rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void AllGather(Context& ctx, std::span<const SharedTensor>) override { RequireMeta(ctx); }
  void ReduceScatter(Context& ctx, std::span<const SharedTensor>) override { RequireMeta(ctx); }
  void AllReduce(Context& ctx, std::span<const TensorView>, Reduction) override { RequireMeta(ctx); }
  void AllReduce(std::span<double>, Reduction) override {}
  std::vector<std::string> AllGatherText(const std::string& text) override {
    return std::vector<std::string>(static_cast<std::size_t>(size_), text);
  }
  std::unique_ptr<Communicator> Split(int) override {
    throw ArgumentError("a communicator that only measures has no ranks to split");
  }
  void Abort(int exit_code) noexcept override { std::_Exit(exit_code); }

 private:
  static void RequireMeta(const Context& ctx) {
    COAT_REQUIRE(ctx.device() == DeviceKind::kMeta,
                 "a communicator that only measures has no other ranks to compute with");
  }

  int rank_;
  int size_;
};

}  // namespace

std::unique_ptr<Communicator> MakeSolo() {
  return std::make_unique<Solo>();
}

std::unique_ptr<Communicator> MakeMeasuring(int rank, int size) {
  return std::make_unique<Measuring>(rank, size);
}

}  // namespace coat
