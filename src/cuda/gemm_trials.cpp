#include "cuda/gemm_trials.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "cuda/device.h"
#include "cuda/gemm_prepare.h"

namespace coat::cuda {

namespace {

constexpr int kRounds = 5;          // of timing
constexpr double kFewTerms = 32.0;  // of a sum, see TermsOfSums
constexpr double kHopeless = 1.25;  // times the fastest: not timed again
// Products that take this long put the GPU at its power limit, where other algorithms may be the fastest: they are
// timed in a row, on a GPU that has been at work. In long trials each first runs until the clock has fallen as far as
// its own power demands. In milliseconds.
constexpr double kLoadingProduct = 0.05;
constexpr double kShortRound = 10.0;
constexpr double kLongRound = 40.0;
constexpr double kOutOfReach = 1.04;  // times the fastest: in no further round
constexpr double kWarmUp = 1000.0;
constexpr std::int64_t kHeadroom = 512 << 20;  // that trials leave of the memory: kernels are loaded into it

/// A pair of events around work on a stream.
class Stopwatch {
 public:
  Stopwatch() {
    COAT_CUDA(cudaEventCreate(&begin_));
    COAT_CUDA(cudaEventCreate(&end_));
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void Start(cudaStream_t stream) { COAT_CUDA(cudaEventRecord(begin_, stream)); }
  void Stop(cudaStream_t stream) { COAT_CUDA(cudaEventRecord(end_, stream)); }
  double Milliseconds() const {
    COAT_CUDA(cudaEventSynchronize(end_));
    float milliseconds = 0.0f;
    COAT_CUDA(cudaEventElapsedTime(&milliseconds, begin_, end_));
    return milliseconds;
  }

 private:
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

/// Where algorithms on trial write. A sum must not be lost: instead of a d that holds one they write to memory of the
/// same size and alignment or, if there is too little, to d itself while its bytes are kept on the host.
class TrialResult {
 public:
  TrialResult(CudaDevice& device, const GemmArgs& args) : device_(device), d_(args.d), trial_(args.d) {
    if (!args.accumulate) return;
    if (device_.ReadMemory().free_bytes >= d_.bytes() + kHeadroom) Allocate();
    if (block_ != nullptr) return;
    saved_.reset(new std::byte[static_cast<std::size_t>(d_.bytes())]);
    device_.Download(d_.data(), saved_.get(), d_.bytes());
  }
  ~TrialResult() { device_.Free(block_); }
  TrialResult(const TrialResult&) = delete;
  TrialResult& operator=(const TrialResult&) = delete;

  const TensorView& view() const { return trial_; }
  /// After the trials: d is as it was if it holds a sum.
  void PutBack() {
    if (saved_) device_.Upload(saved_.get(), d_.data(), d_.bytes());
  }

 private:
  void Allocate() {
    constexpr int kBlockAlignment = 256;
    try {
      block_ = device_.Allocate(d_.bytes() + kBlockAlignment);
    } catch (const std::bad_alloc&) {
      return;  // in pieces, perhaps
    }
    const int alignment = AlignmentOf(d_.data());
    trial_ = TensorView(block_ + alignment % kBlockAlignment, d_.shape(), d_.dtype(), d_.device());
  }

  CudaDevice& device_;
  TensorView d_;
  TensorView trial_;
  std::byte* block_ = nullptr;
  std::unique_ptr<std::byte[]> saved_;
};

/// An algorithm that is being timed: its time is the median of its rounds.
class Entrant {
 public:
  Entrant(TimedAlgorithm& timed, std::size_t candidate) : timed_(&timed), candidate_(candidate) {}

  std::size_t candidate() const { return candidate_; }
  double milliseconds() const { return timed_->milliseconds; }
  /// The time of some runs.
  void Take(double milliseconds, int runs) {
    times_.push_back(milliseconds / runs);
    std::sort(times_.begin(), times_.end());
    timed_->milliseconds = times_[(times_.size() - 1) / 2];
  }

 private:
  TimedAlgorithm* timed_;
  std::size_t candidate_;
  std::vector<double> times_;
};

}  // namespace

std::optional<GemmTrials::Winner> GemmTrials::Hold(const GemmArgs& to_run, const float* factors) {
  device_.Synchronize();  // nothing else is to be timed
  TrialResult result(device_, to_run);
  GemmArgs args = to_run;
  args.d = result.view();
  std::vector<GemmPlan> plans;
  std::vector<Candidate> candidates;
  for (const ScaleMode mode : ScaleModesOf(args, device_.compute_capability())) {
    plans.push_back(runner_.MakePlan(args, factors != nullptr, mode));
    for (const cublasLtMatmulAlgo_t& algorithm : runner_.AlgorithmsFor(args, plans.back())) {
      candidates.push_back({.plan = plans.size() - 1, .algorithm = algorithm, .timed = {}});
    }
  }
  candidates = Try(args, factors, plans, candidates);
  // Sums of few terms tell nothing of the order in which an algorithm adds, and so of its bits, by which ranks and
  // later runs choose alike: the library's first is taken.
  if (!candidates.empty() && TermsOfSums(args) < kFewTerms) candidates.resize(1);
  if (!candidates.empty()) Time(args, factors, plans, candidates);
  result.PutBack();
  if (candidates.empty()) return std::nullopt;
  std::vector<TimedAlgorithm> timed;
  for (const Candidate& candidate : candidates) timed.push_back(candidate.timed);
  const Choice choice = Choose(timed, device_.options().other_bits);
  const Candidate& taken = candidates[choice.taken];
  Winner winner;
  winner.plan = std::move(plans[taken.plan]);
  winner.plan.algorithm = taken.algorithm;
  std::memcpy(winner.tuned.algorithm.data(), &taken.algorithm, sizeof(taken.algorithm));
  winner.tuned.scales_by_row = winner.plan.mode == ScaleMode::kRows;
  winner.tuned.milliseconds = timed[choice.taken].milliseconds;
  winner.tuned.reference_milliseconds = timed[choice.reference].milliseconds;
  winner.tuned.algorithms = static_cast<int>(timed.size());
  return winner;
}

std::vector<GemmTrials::Candidate> GemmTrials::Try(const GemmArgs& args, const float* factors,
                                                   std::vector<GemmPlan>& plans,
                                                   const std::vector<Candidate>& candidates) {
  const cudaStream_t stream = device_.stream();
  const auto reset = [&] {
    // A sum starts at zero each time, so that results can be compared.
    if (args.accumulate) {
      COAT_CUDA(cudaMemsetAsync(args.d.data(), 0, static_cast<std::size_t>(args.d.bytes()), stream));
    }
  };
  std::vector<Candidate> good;
  Stopwatch stopwatch;
  for (const Candidate& candidate : candidates) {
    GemmPlan& plan = plans[candidate.plan];
    plan.algorithm = candidate.algorithm;
    reset();
    if (runner_.Run(args, factors, plan) != CUBLAS_STATUS_SUCCESS) {
      cudaGetLastError();  // the algorithm does not take this product: not an error
      continue;
    }
    const std::uint64_t bits = HashOf(args.d);
    reset();
    stopwatch.Start(stream);
    COAT_CUBLASLT(runner_.Run(args, factors, plan));
    stopwatch.Stop(stream);
    const double milliseconds = stopwatch.Milliseconds();
    if (HashOf(args.d) != bits) continue;  // a result must not change from run to run
    good.push_back(candidate);
    good.back().timed = {.milliseconds = milliseconds, .bits = bits};
    if (args.d.dtype() != DType::kBF16) continue;
    // Small results may be the same by rounding alone: what rounding has left out must be the same too.
    if (runner_.Subtract(args, factors, plan) == CUBLAS_STATUS_SUCCESS) {
      good.back().timed.bits ^= std::rotl(HashOf(args.d), 1);
    } else {
      cudaGetLastError();  // an algorithm that adds to nothing: it counts as one of other bits
    }
  }
  return good;
}

void GemmTrials::Time(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans,
                      std::vector<Candidate>& candidates) {
  const cudaStream_t stream = device_.stream();
  const auto earlier = [](const Candidate& x, const Candidate& y) {
    return x.timed.milliseconds < y.timed.milliseconds;
  };
  const auto quickest = std::min_element(candidates.begin(), candidates.end(), earlier);
  const double once = quickest->timed.milliseconds;
  std::vector<Entrant> entrants;
  std::vector<TimedAlgorithm*> hopeless;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].timed.milliseconds <= kHopeless * once) {
      entrants.emplace_back(candidates[i].timed, i);
    } else {
      hopeless.push_back(&candidates[i].timed);
    }
  }
  const bool loads = once >= kLoadingProduct;
  const bool is_long = loads && device_.trials() == Device::Trials::kLong;
  const double round_milliseconds = is_long ? kLongRound : loads ? kShortRound : 0.0;
  const auto runs_in = [](double milliseconds, const Entrant& entrant) {
    return std::max(1, static_cast<int>(milliseconds / entrant.milliseconds()));
  };
  const auto repeat = [&](const Entrant& entrant, int runs) {
    Repeat(args, factors, plans, candidates[entrant.candidate()], runs);
  };
  if (loads && !warm_) repeat(entrants.front(), runs_in(kWarmUp, entrants.front()));
  warm_ = warm_ || loads;
  std::vector<Stopwatch> stopwatches(entrants.size());
  for (int round = 0; round < kRounds; ++round) {
    std::vector<int> runs;
    // In turns, without waiting in between, so that all see a full queue.
    for (std::size_t i = 0; i < entrants.size(); ++i) {
      runs.push_back(runs_in(round_milliseconds, entrants[i]));
      if (is_long) repeat(entrants[i], runs[i]);
      stopwatches[i].Start(stream);
      repeat(entrants[i], runs[i]);
      stopwatches[i].Stop(stream);
    }
    double fastest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < entrants.size(); ++i) {
      entrants[i].Take(stopwatches[i].Milliseconds(), runs[i]);
      fastest = std::min(fastest, entrants[i].milliseconds());
    }
    // Not after one round, which anything may have disturbed.
    if (!is_long || round == 0) continue;
    std::erase_if(entrants, [&](const Entrant& e) { return e.milliseconds() > kOutOfReach * fastest; });
  }
  // The others ran once, at the clock of a GPU that had waited: as much slower as the quickest has become.
  for (TimedAlgorithm* const timed : hopeless) timed->milliseconds *= quickest->timed.milliseconds / once;
}

void GemmTrials::Repeat(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans,
                        const Candidate& candidate, int runs) {
  GemmPlan& plan = plans[candidate.plan];
  plan.algorithm = candidate.algorithm;
  for (int run = 0; run < runs; ++run) COAT_CUBLASLT(runner_.Run(args, factors, plan));
}

std::uint64_t GemmTrials::HashOf(const TensorView& d) {
  HashElements(device_.stream(), d, reinterpret_cast<unsigned long long*>(runner_.TrialBytes()));
  std::uint64_t bits = 0;
  device_.Download(runner_.TrialBytes(), &bits, sizeof(bits));
  return bits;
}

double GemmTrials::TermsOfSums(const GemmArgs& args) {
  double terms = static_cast<double>(ShapeOf(args).k);
  for (const ConstTensorView& x : {args.a.codes, args.b.codes}) {
    CountNonZeros(device_.stream(), x, reinterpret_cast<unsigned long long*>(runner_.TrialBytes()));
    std::uint64_t count = 0;
    device_.Download(runner_.TrialBytes(), &count, sizeof(count));
    terms *= static_cast<double>(count) / static_cast<double>(x.elements());
  }
  return terms;
}

}  // namespace coat::cuda
