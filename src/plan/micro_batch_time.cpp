#include "plan/micro_batch_time.h"

#include <algorithm>
#include <cstddef>

#include "models/exchange.h"

namespace coat {

namespace {

constexpr std::size_t kEmbedding = Exchange::kEmbedding;
constexpr std::size_t kHead = Exchange::kHead;
constexpr std::size_t kFirstBlock = Exchange::kFirstBlock;

class Clocks {
 public:
  Clocks(const MicroBatchUnits& units, PlaceInStep place)
      : tied_(units.head_is_embedding), contention_(units.contention) {
    units_ = {units.embedding, units.head};
    units_.insert(units_.end(), units.blocks.begin(), units.blocks.end());
    gathered_.assign(units_.size(), false);
    gather_end_.assign(units_.size(), 0.0);
    reduce_end_.assign(units_.size(), 0.0);
    if (place == PlaceInStep::kFirst) return;
    gathered_[kEmbedding] = tied_;
    gathered_[kHead] = true;
    for (std::size_t block = kFirstBlock; block <= LastBlock() && block < kFirstBlock + 2; ++block) {
      gathered_[block] = true;
    }
  }

  std::size_t LastBlock() const { return units_.size() - 1; }
  std::size_t HeadWeight() const { return tied_ ? kEmbedding : kHead; }

  /// Waits for a unit's weights and starts to gather the next one's.
  void Use(std::size_t unit, std::size_t next) {
    Prefetch(unit);
    now_ = std::max(now_, gather_end_[unit]);
    Prefetch(next);
  }
  void Forward(std::size_t unit) { Compute(units_[unit].forward, units_[unit].gather); }
  void Backward(std::size_t unit) {
    WaitForBuffers(unit);
    Compute(units_[unit].backward, units_[unit].gather + units_[unit].reduce);
  }
  /// Forward and backward.
  void Head() {
    WaitForBuffers(HeadWeight());
    Forward(kHead);
  }
  void Reduce(std::size_t unit) { reduce_end_[unit] = Beside(units_[unit].reduce, time_.reduce); }

  MicroBatchTime End() {
    time_.total = std::max(now_, beside_);
    return time_;
  }

 private:
  /// Of gradients.
  void WaitForBuffers(std::size_t unit) {
    for (std::size_t other = 0; other < units_.size(); ++other) {
      if (TakeTurns(unit, other)) now_ = std::max(now_, reduce_end_[other]);
    }
  }
  bool TakeTurns(std::size_t a, std::size_t b) const {
    if (a == b) return true;
    if (a < kFirstBlock || b < kFirstBlock) return !tied_ && a < kFirstBlock && b < kFirstBlock;
    return a % 2 == b % 2;
  }
  void Prefetch(std::size_t unit) {
    if (gathered_[unit]) return;
    for (std::size_t other = 0; other < units_.size(); ++other) {
      if (TakeTurns(unit, other)) gathered_[other] = false;
    }
    gathered_[unit] = true;
    gather_end_[unit] = Beside(units_[unit].gather, time_.gather);
  }
  double Beside(double seconds, double& sum) {
    sum += seconds;
    beside_ = std::max(beside_, now_) + seconds;
    return beside_;
  }
  /// `exchanged`: what a unit like this one exchanges meanwhile.
  void Compute(double seconds, double exchanged) {
    const double slowed = contention_ * std::min(seconds, exchanged);
    time_.compute += seconds;
    time_.slowed += slowed;
    now_ += seconds + slowed;
  }

  std::vector<UnitTime> units_;
  bool tied_;
  double contention_;
  std::vector<bool> gathered_;
  std::vector<double> gather_end_, reduce_end_;
  double now_ = 0.0;     // of the layers
  double beside_ = 0.0;  // of gathers and reductions
  MicroBatchTime time_;
};

}  // namespace

MicroBatchTime TimeOf(const MicroBatchUnits& units, PlaceInStep place) {
  Clocks clocks(units, place);
  const std::size_t last = clocks.LastBlock();
  clocks.Use(kEmbedding, kFirstBlock);
  if (place == PlaceInStep::kLater) {
    for (const std::size_t unit : Exchange::kLast) clocks.Reduce(unit);
  }
  clocks.Forward(kEmbedding);
  for (std::size_t block = kFirstBlock; block <= last; ++block) {
    clocks.Use(block, block < last ? block + 1 : kHead);
    clocks.Forward(block);
  }
  clocks.Use(kHead, clocks.HeadWeight());
  clocks.Use(clocks.HeadWeight(), last);
  clocks.Head();
  clocks.Reduce(kHead);
  for (std::size_t block = last; block >= kFirstBlock; --block) {
    clocks.Use(block, block > kFirstBlock ? block - 1 : block);
    clocks.Backward(block);
    if (block != kFirstBlock) clocks.Reduce(block);
  }
  clocks.Backward(kEmbedding);
  return clocks.End();
}

}  // namespace coat
