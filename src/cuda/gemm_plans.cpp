#include "cuda/gemm_plans.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "cuda/gemm_prepare.h"

namespace coat::cuda {

namespace {

constexpr std::int64_t kAlgorithmBytes = 32 << 20;  // of the workspace, for cuBLASLt
constexpr std::int64_t kTrialBytes = 256;           // behind them
constexpr int kMostAlgorithms = 24;                 // of a scale mode
constexpr int kRounds = 5;                          // of timing
constexpr double kFewTerms = 32.0;                  // of a sum, see TermsOfSums
constexpr double kHopeless = 1.25;                  // times the fastest: not timed again
// Products that take this long put the GPU at its power limit, where it clocks lower and other algorithms may be the
// fastest: they are timed in a row, on a GPU that has been at work. In milliseconds.
constexpr double kLoadingProduct = 0.05;
constexpr double kLoadedRound = 10.0;
constexpr double kWarmUp = 1000.0;
constexpr std::int64_t kHeadroom = 512 << 20;  // that trials leave of the memory: kernels are loaded into it

ProductKey KeyOf(const GemmArgs& args, bool device_factors) {
  const bool per_tensor = args.a.format.scaling == Scaling::kTensor;
  return {
      .shape = ShapeOf(args),
      .a = args.a.format,
      .b = args.b.format,
      .d = args.d.dtype(),
      .layout = args.layout,
      .accumulate = args.accumulate,
      .fast_accumulation = per_tensor && args.fast_accumulation,
      .device_factors = device_factors,
      .alignments = {AlignmentOf(args.a.codes.data()), AlignmentOf(args.b.codes.data()), AlignmentOf(args.d.data())}};
}

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

}  // namespace

GemmPlans::GemmPlans(CudaDevice& device) : device_(device), handle_(MakeCublasLtHandle()) {
  tuning_.device = fmt::format("{}, {} multiprocessors", device.Name(), device.multiprocessors());
  tuning_.library = LoadCublasLt().GetVersion();
}

std::byte* GemmPlans::Scratch(std::int64_t bytes) {
  constexpr std::int64_t kBefore = kAlgorithmBytes + kTrialBytes;
  return device_.GrowWorkspace(kBefore + bytes) + kBefore;
}

void GemmPlans::Multiply(const GemmArgs& args, const float* factors) {
  const std::string key = KeyOf(args, factors != nullptr).ToString();
  auto found = plans_.find(key);
  if (found == plans_.end()) {
    if (RunImported(args, factors, key)) return;
    found = plans_.emplace(key, Tune(args, factors, key)).first;
  }
  const cublasStatus_t status = Run(args, factors, found->second);
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw Error(fmt::format("cuBLASLt: {} in the product {}", LoadCublasLt().GetStatusString(status), key));
  }
}

std::string GemmPlans::Export() const {
  return ToJson(tuning_);
}

std::string GemmPlans::Import(std::string_view json) {
  Tuning imported = TuningFromJson(json);
  if (imported.device != tuning_.device) {
    return fmt::format("they are of {}, and this is {}", imported.device, tuning_.device);
  }
  if (imported.library != tuning_.library) {
    return fmt::format("they are of cuBLASLt {}, and this is {}", imported.library, tuning_.library);
  }
  tuning_.products.merge(imported.products);
  return "";
}

std::string GemmPlans::Describe() const {
  TuningReport report = {.products = {}, .imported = imported_, .seconds = seconds_, .refused = refused_};
  for (const auto& [key, plan] : plans_) report.products.emplace(key, tuning_.products.at(key));
  return coat::cuda::Describe(report);
}

GemmPlans::Plan GemmPlans::MakePlan(const GemmArgs& args, bool device_factors, ScaleMode mode) const {
  const GemmShape shape = ShapeOf(args);
  Plan plan;
  plan.mode = mode;
  plan.product = MakeMatmulDescription();
  const bool first_transposed = args.layout == GemmLayout::kNT;
  const bool second_transposed = args.layout == GemmLayout::kTN;
  SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, first_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, second_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (device_factors) {
    SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_POINTER_MODE,
                 static_cast<std::int32_t>(CUBLASLT_POINTER_MODE_DEVICE));
  }
  if (mode != ScaleMode::kNone) {
    const bool fast = mode != ScaleMode::kBlocks && args.fast_accumulation;
    SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_FAST_ACCUM, static_cast<std::int8_t>(fast));
    SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, LibraryScaleMode(mode, args.b.format));
    SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, LibraryScaleMode(mode, args.a.format));
  }
  // A row-major matrix is its transpose in column-major order: rows and columns change places.
  const Shape a = args.a.shape();
  const Shape b = args.b.shape();
  plan.first = MakeMatrixLayout(args.b.format.dtype, b[1], b[0]);
  plan.second = MakeMatrixLayout(args.a.format.dtype, a[1], a[0]);
  plan.result = MakeMatrixLayout(args.d.dtype(), shape.n, shape.m);
  return plan;
}

bool GemmPlans::RunImported(const GemmArgs& args, const float* factors, const std::string& key) {
  const auto imported = tuning_.products.find(key);
  if (imported == tuning_.products.end()) return false;
  const TunedProduct& tuned = imported->second;
  const ScaleMode mode =
      tuned.scales_by_row ? ScaleMode::kRows : ScaleModesOf(args, device_.compute_capability()).front();
  Plan plan = MakePlan(args, factors != nullptr, mode);
  static_assert(sizeof(plan.algorithm) == sizeof(tuned.algorithm));
  std::memcpy(&plan.algorithm, tuned.algorithm.data(), sizeof(plan.algorithm));
  // The run is the test: cublasLtMatmulAlgoCheck refuses scales of blocks whose pointers are not set.
  const cublasStatus_t status = Run(args, factors, plan);
  if (status != CUBLAS_STATUS_SUCCESS) {
    cudaGetLastError();  // the error is handled
    refused_.push_back(fmt::format("{}: {}", key, LoadCublasLt().GetStatusString(status)));
    return false;
  }
  plans_.emplace(key, std::move(plan));
  ++imported_;
  return true;
}

GemmPlans::Plan GemmPlans::Tune(const GemmArgs& to_run, const float* factors, const std::string& key) {
  if (device_.recording()) {
    throw Error(fmt::format("the product {} is recorded before it has run once: its algorithms cannot be timed", key));
  }
  device_.Synchronize();  // nothing else is to be timed
  const auto begin = std::chrono::steady_clock::now();
  TrialResult result(device_, to_run);
  GemmArgs args = to_run;
  args.d = result.view();
  std::vector<Plan> plans;
  std::vector<Candidate> candidates;
  for (const ScaleMode mode : ScaleModesOf(args, device_.compute_capability())) {
    plans.push_back(MakePlan(args, factors != nullptr, mode));
    AppendAlgorithms(args, plans.back(), plans.size() - 1, candidates);
  }
  candidates = Try(args, factors, plans, candidates);
  // Sums of few terms tell nothing of the order in which an algorithm adds, and so of its bits, by which ranks and
  // later runs choose alike: the library's first is taken.
  if (!candidates.empty() && TermsOfSums(args) < kFewTerms) candidates.resize(1);
  if (!candidates.empty()) Time(args, factors, plans, candidates);
  result.PutBack();
  if (candidates.empty()) {
    throw Error(
        fmt::format("cuBLASLt {} has no algorithm on {} for the product {} (M x N x K, formats, layout, "
                    "alignments); --gemm=bf16 may have one",
                    tuning_.library, tuning_.device, key));
  }
  std::vector<TimedAlgorithm> timed;
  for (const Candidate& candidate : candidates) timed.push_back(candidate.timed);
  const Choice choice = Choose(timed, device_.options().other_bits);
  const Candidate& taken = candidates[choice.taken];
  Plan plan = std::move(plans[taken.plan]);
  plan.algorithm = taken.algorithm;
  TunedProduct& tuned = tuning_.products[key];
  std::memcpy(tuned.algorithm.data(), &plan.algorithm, sizeof(plan.algorithm));
  tuned.scales_by_row = plan.mode == ScaleMode::kRows;
  tuned.milliseconds = timed[choice.taken].milliseconds;
  tuned.reference_milliseconds = timed[choice.reference].milliseconds;
  tuned.algorithms = static_cast<int>(timed.size());
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return plan;
}

void GemmPlans::AppendAlgorithms(const GemmArgs& args, const Plan& plan, std::size_t index,
                                 std::vector<Candidate>& candidates) {
  if (plan.mode != ScaleMode::kNone) {
    SetScales(plan, PlaceScales(args, plan.mode, Scratch(ScaleBytes(args, plan.mode))));
  }
  const MatmulPreference limits = MakeMatmulPreference();
  const auto alignment = [](const void* address) { return static_cast<std::uint32_t>(AlignmentOf(address)); };
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(kAlgorithmBytes));
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(args.b.codes.data()));
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(args.a.codes.data()));
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(args.d.data()));
  SetAttribute(limits, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(args.d.data()));
  if (args.d.dtype() == DType::kBF16) {
    // Parts of a sum over K are not rounded to d's type before they are added.
    SetAttribute(limits, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                 static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  }
  std::array<cublasLtMatmulHeuristicResult_t, kMostAlgorithms> results = {};
  int count = 0;
  const cublasStatus_t status = LoadCublasLt().MatmulAlgoGetHeuristic(
      handle_.get(), plan.product.get(), plan.first.get(), plan.second.get(), plan.result.get(), plan.result.get(),
      limits.get(), kMostAlgorithms, results.data(), &count);
  if (status != CUBLAS_STATUS_SUCCESS) return;  // it has none
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulHeuristicResult_t& result = results[static_cast<std::size_t>(i)];
    if (result.state != CUBLAS_STATUS_SUCCESS) continue;
    candidates.push_back({.plan = index, .algorithm = result.algo, .timed = {}});
  }
}

std::vector<GemmPlans::Candidate> GemmPlans::Try(const GemmArgs& args, const float* factors, std::vector<Plan>& plans,
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
    Plan& plan = plans[candidate.plan];
    plan.algorithm = candidate.algorithm;
    reset();
    if (Run(args, factors, plan) != CUBLAS_STATUS_SUCCESS) {
      cudaGetLastError();  // the algorithm does not take this product: not an error
      continue;
    }
    const std::uint64_t bits = HashOf(args.d);
    reset();
    stopwatch.Start(stream);
    COAT_CUBLASLT(Run(args, factors, plan));
    stopwatch.Stop(stream);
    const double milliseconds = stopwatch.Milliseconds();
    if (HashOf(args.d) != bits) continue;  // a result must not change from run to run
    good.push_back(candidate);
    good.back().timed = {.milliseconds = milliseconds, .bits = bits};
    if (args.d.dtype() != DType::kBF16) continue;
    // Small results may be the same by rounding alone: what rounding has left out must be the same too.
    if (SubtractProduct(args, factors, plan) == CUBLAS_STATUS_SUCCESS) {
      good.back().timed.bits ^= std::rotl(HashOf(args.d), 1);
    } else {
      cudaGetLastError();  // an algorithm that adds to nothing: it counts as one of other bits
    }
  }
  return good;
}

void GemmPlans::Time(const GemmArgs& args, const float* factors, std::vector<Plan>& plans,
                     std::vector<Candidate>& candidates) {
  const cudaStream_t stream = device_.stream();
  const auto earlier = [](const Candidate& x, const Candidate& y) {
    return x.timed.milliseconds < y.timed.milliseconds;
  };
  const double limit = kHopeless * std::min_element(candidates.begin(), candidates.end(), earlier)->timed.milliseconds;
  std::vector<Candidate*> hopeful;
  for (Candidate& candidate : candidates) {
    if (candidate.timed.milliseconds <= limit) hopeful.push_back(&candidate);
  }
  // In rounds, without waiting in between, so that all see the same clocks and a full queue.
  const double shortest = limit / kHopeless;
  const bool loads = shortest >= kLoadingProduct;
  const auto runs_of = [&](const Candidate& candidate) {
    return loads ? std::max(1, static_cast<int>(kLoadedRound / candidate.timed.milliseconds)) : 1;
  };
  if (loads && !warm_) {
    const auto runs = static_cast<int>(kWarmUp / hopeful.front()->timed.milliseconds);
    Repeat(args, factors, plans, *hopeful.front(), runs);
    warm_ = true;
  }
  std::vector<std::array<Stopwatch, kRounds>> stopwatches(hopeful.size());
  for (std::size_t round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < hopeful.size(); ++i) {
      stopwatches[i][round].Start(stream);
      Repeat(args, factors, plans, *hopeful[i], runs_of(*hopeful[i]));
      stopwatches[i][round].Stop(stream);
    }
  }
  for (std::size_t i = 0; i < hopeful.size(); ++i) {
    std::vector<double> times(kRounds);
    for (std::size_t round = 0; round < kRounds; ++round) times[round] = stopwatches[i][round].Milliseconds();
    std::sort(times.begin(), times.end());
    hopeful[i]->timed.milliseconds = times[kRounds / 2] / runs_of(*hopeful[i]);
  }
}

void GemmPlans::Repeat(const GemmArgs& args, const float* factors, std::vector<Plan>& plans, const Candidate& candidate,
                       int runs) {
  Plan& plan = plans[candidate.plan];
  plan.algorithm = candidate.algorithm;
  for (int run = 0; run < runs; ++run) COAT_CUBLASLT(Run(args, factors, plan));
}

void GemmPlans::SetScales(const Plan& plan, const Scales& scales) const {
  // The library's A is our b.
  SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scales.b);
  SetAttribute(plan.product, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scales.a);
}

cublasStatus_t GemmPlans::Run(const GemmArgs& args, const float* factors, const Plan& plan) {
  if (plan.mode != ScaleMode::kNone) {
    const Scales scales = PlaceScales(args, plan.mode, Scratch(ScaleBytes(args, plan.mode)));
    FillScales(device_.stream(), args, plan.mode, scales);
    SetScales(plan, scales);
  }
  const float own[] = {1.0f, args.accumulate ? 1.0f : 0.0f};
  return Launch(args, factors != nullptr ? factors : own, plan);
}

cublasStatus_t GemmPlans::SubtractProduct(const GemmArgs& args, const float* factors, const Plan& plan) {
  float own[] = {-1.0f, 1.0f};
  if (factors == nullptr) return Launch(args, own, plan);
  device_.Download(factors, own, sizeof(float));
  own[0] = -own[0];
  device_.Upload(own, TrialBytes(), sizeof(own));
  return Launch(args, reinterpret_cast<const float*>(TrialBytes()), plan);
}

cublasStatus_t GemmPlans::Launch(const GemmArgs& args, const float* factors, const Plan& plan) {
  return LoadCublasLt().Matmul(handle_.get(), plan.product.get(), factors, args.b.codes.data(), plan.first.get(),
                               args.a.codes.data(), plan.second.get(), factors + 1, args.d.data(), plan.result.get(),
                               args.d.data(), plan.result.get(), &plan.algorithm, device_.workspace(),
                               static_cast<std::size_t>(kAlgorithmBytes), device_.stream());
}

std::byte* GemmPlans::TrialBytes() const {
  return device_.workspace() + kAlgorithmBytes;
}

std::uint64_t GemmPlans::HashOf(const TensorView& d) {
  HashElements(device_.stream(), d, reinterpret_cast<unsigned long long*>(TrialBytes()));
  std::uint64_t bits = 0;
  device_.Download(TrialBytes(), &bits, sizeof(bits));
  return bits;
}

double GemmPlans::TermsOfSums(const GemmArgs& args) {
  double terms = static_cast<double>(ShapeOf(args).k);
  for (const ConstTensorView& x : {args.a.codes, args.b.codes}) {
    CountNonZeros(device_.stream(), x, reinterpret_cast<unsigned long long*>(TrialBytes()));
    std::uint64_t count = 0;
    device_.Download(TrialBytes(), &count, sizeof(count));
    terms *= static_cast<double>(count) / static_cast<double>(x.elements());
  }
  return terms;
}

}  // namespace coat::cuda
