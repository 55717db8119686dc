#include "cuda/attention/attention_cudnn.h"

// What is used of cudnn-frontend needs no JSON.
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/divide.h"
#include "base/error.h"
#include "cuda/attention/cudnn_library.h"
#include "cuda/device/device.h"

namespace coat::cuda {

namespace {

namespace fe = cudnn_frontend;

using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;
using Bindings = std::unordered_map<std::int64_t, void*>;

/// Names of the tensors in a graph.
enum TensorId : std::int64_t {
  kQuery = 1,
  kKey,
  kValue,
  kOut,
  kLse,
  kOutGradient,
  kQueryGradient,
  kKeyGradient,
  kValueGradient
};

/// A graph that is ready to run on `sequences` sequences at a time.
struct Plan {
  std::unique_ptr<fe::graph::Graph> graph;
  std::int64_t sequences = 0;
  std::int64_t workspace_bytes = 0;
};

std::string Describe(const AttentionExtents& x) {
  return fmt::format("B={}, T={}, H={}, Hk={}, K={}", x.sequences, x.positions, x.heads, x.kv_heads, x.head_size);
}

void Require(fe::error_t status, std::string_view what, const AttentionExtents& extents) {
  if (status.is_good()) return;
  const std::string message = status.get_message();
  const bool lacks_compiler = message.find("PREREQUISITE_MISSING") != std::string::npos;
  throw Error(fmt::format("cuDNN {}.{}.{}: {} ({}): {}{}", cudnnGetVersion() / 10000, cudnnGetVersion() / 100 % 100,
                          cudnnGetVersion() % 100, what, Describe(extents), message,
                          lacks_compiler ? "; cuDNN compiles its kernels with libnvrtc.so.13: install the CUDA 13 "
                                           "toolkit, or add libnvrtc's folder to LD_LIBRARY_PATH"
                                         : ""));
}

void Require(cudnnStatus_t status, std::string_view what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Error(fmt::format("cuDNN: {}: {}", what, cudnnGetErrorString(status)));
}

/// `heads` heads of K columns in rows of `row_width` columns: [B, heads, T, K] through strides.
fe::graph::Tensor_attributes Heads(std::int64_t id, const AttentionExtents& x, std::int64_t heads,
                                   std::int64_t row_width) {
  fe::graph::Tensor_attributes tensor;
  tensor.set_uid(id)
      .set_dim({x.sequences, heads, x.positions, x.head_size})
      .set_stride({x.positions * row_width, x.head_size, row_width, 1});
  return tensor;
}

/// Makes `tensor` an output with the id and the layout of `like`.
void SetOutput(const Tensor& tensor, const fe::graph::Tensor_attributes& like) {
  tensor->set_output(true).set_uid(like.get_uid()).set_dim(like.get_dim()).set_stride(like.get_stride());
}

fe::graph::Tensor_attributes Lse(const AttentionExtents& x) {
  fe::graph::Tensor_attributes tensor;
  tensor.set_uid(kLse)
      .set_dim({x.sequences, x.heads, x.positions, 1})
      .set_stride({x.heads * x.positions, x.positions, 1, 1})
      .set_data_type(fe::DataType_t::FLOAT);
  return tensor;
}

float ScaleOf(const AttentionExtents& x) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x.head_size)));
}

std::unique_ptr<fe::graph::Graph> EmptyGraph() {
  auto graph = std::make_unique<fe::graph::Graph>();
  graph->set_io_data_type(fe::DataType_t::BFLOAT16)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  return graph;
}

std::unique_ptr<fe::graph::Graph> ForwardGraph(const AttentionExtents& x) {
  auto graph = EmptyGraph();
  fe::graph::SDPA_attributes attributes;
  attributes.set_name("attention")
      .set_generate_stats(true)
      .set_attn_scale(ScaleOf(x))
      .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
      .set_diagonal_band_right_bound(0);
  auto [out, lse] = graph->sdpa(graph->tensor(Heads(kQuery, x, x.heads, x.width())),
                                graph->tensor(Heads(kKey, x, x.kv_heads, x.width())),
                                graph->tensor(Heads(kValue, x, x.kv_heads, x.width())), attributes);
  SetOutput(out, Heads(kOut, x, x.heads, x.out_width()));
  SetOutput(lse, Lse(x));
  lse->set_data_type(fe::DataType_t::FLOAT);
  return graph;
}

std::unique_ptr<fe::graph::Graph> BackwardGraph(const AttentionExtents& x, bool deterministic) {
  auto graph = EmptyGraph();
  fe::graph::SDPA_backward_attributes attributes;
  attributes.set_name("attention_backward")
      .set_attn_scale(ScaleOf(x))
      .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
      .set_diagonal_band_right_bound(0)
      .set_deterministic_algorithm(deterministic);
  auto [d_query, d_key, d_value] = graph->sdpa_backward(
      graph->tensor(Heads(kQuery, x, x.heads, x.width())), graph->tensor(Heads(kKey, x, x.kv_heads, x.width())),
      graph->tensor(Heads(kValue, x, x.kv_heads, x.width())), graph->tensor(Heads(kOut, x, x.heads, x.out_width())),
      graph->tensor(Heads(kOutGradient, x, x.heads, x.out_width())), graph->tensor(Lse(x)), attributes);
  SetOutput(d_query, Heads(kQueryGradient, x, x.heads, x.width()));
  SetOutput(d_key, Heads(kKeyGradient, x, x.kv_heads, x.width()));
  SetOutput(d_value, Heads(kValueGradient, x, x.kv_heads, x.width()));
  return graph;
}

/// The largest number that divides `sequences` and is no more than `most`; 1 at the least.
std::int64_t LargestPart(std::int64_t sequences, std::int64_t most) {
  for (std::int64_t part = std::min(sequences, most); part > 1; --part) {
    if (sequences % part == 0) return part;
  }
  return 1;
}

/// `count` columns of bfloat16 after `data`.
void* Columns(const void* data, std::int64_t count) {
  return const_cast<std::uint16_t*>(static_cast<const std::uint16_t*>(data) + count);
}

/// Where q, k and v lie, or their gradients, under the ids of three tensors.
void BindHeads(const void* rows, const AttentionExtents& x, TensorId query, TensorId key, TensorId value,
               Bindings& bindings) {
  bindings[query] = Columns(rows, 0);
  bindings[key] = Columns(rows, x.heads * x.head_size);
  bindings[value] = Columns(rows, (x.heads + x.kv_heads) * x.head_size);
}

}  // namespace

struct CudnnAttention::Plans {
  enum class Direction { kForward, kBackward };

  explicit Plans(CudaDevice& cuda_device) : device(cuda_device) {
    LoadCudnn();
    Require(cudnnCreate(&handle), "cudnnCreate");
    Require(cudnnSetStream(handle, device.stream()), "cudnnSetStream");
  }
  ~Plans() { cudnnDestroy(handle); }

  Plan Build(Direction direction, const AttentionExtents& extents) {
    const bool forward = direction == Direction::kForward;
    Plan plan;
    plan.graph = forward ? ForwardGraph(extents) : BackwardGraph(extents, device.options().deterministic_attention);
    plan.sequences = extents.sequences;
    const std::string_view what = forward ? "no plan for attention" : "no plan for the gradients of attention";
    Require(plan.graph->build(handle, {fe::HeurMode_t::A}), what, extents);
    Require(plan.graph->get_workspace_size(plan.workspace_bytes), what, extents);
    return plan;
  }

  const Plan& Find(Direction direction, const AttentionExtents& extents) {
    const auto key = std::pair(direction, extents);
    const auto found = made.find(key);
    if (found != made.end()) return found->second;
    if (device.recording()) {
      throw Error(fmt::format("attention ({}) was not run before it was recorded", Describe(extents)));
    }
    AttentionExtents part = extents;
    part.sequences = LargestPart(extents.sequences, kMostSequences);
    Plan plan = Build(direction, part);
    if (plan.workspace_bytes > kLargestWorkspace) {
      const std::int64_t of_sequence = DivideUp(plan.workspace_bytes, part.sequences);
      part.sequences = LargestPart(extents.sequences, kLargestWorkspace / of_sequence);
      plan = Build(direction, part);
    }
    device.GrowWorkspace(plan.workspace_bytes);
    return made.emplace(key, std::move(plan)).first->second;
  }

  void Run(const Plan& plan, Bindings& bindings, const AttentionExtents& extents) {
    Require(plan.graph->execute(handle, bindings, device.workspace()), "attention fails", extents);
  }

  CudaDevice& device;
  cudnnHandle_t handle = nullptr;
  std::map<std::pair<Direction, AttentionExtents>, Plan> made;
};

CudnnAttention::CudnnAttention(CudaDevice& device) : plans_(std::make_unique<Plans>(device)) {}

CudnnAttention::~CudnnAttention() = default;

bool CudnnAttention::Takes(const CudaDevice& device, const AttentionExtents& extents) {
  const std::int64_t largest = device.compute_capability() == 90 ? 256 : 128;
  return extents.positions > 1 && extents.head_size % 8 == 0 && extents.head_size <= largest;
}

bool CudnnAttention::BackwardIsAsAsked(const CudaDevice& device) {
  constexpr std::size_t kFirstOnBlackwell = 91801;
  if (!device.options().deterministic_attention) return true;
  const int capability = device.compute_capability();
  if (capability == 100 || capability == 103) return CudnnVersion() >= kFirstOnBlackwell;
  return capability == 90;
}

void CudnnAttention::Forward(const AttentionForwardArgs& args, const AttentionExtents& x) {
  const Plan& plan = plans_->Find(Plans::Direction::kForward, x);
  for (std::int64_t begin = 0; begin < x.sequences; begin += plan.sequences) {
    const std::int64_t row = begin * x.positions;
    Bindings bindings;
    BindHeads(Columns(args.qkv.data(), row * x.width()), x, kQuery, kKey, kValue, bindings);
    bindings[kOut] = Columns(args.out.data(), row * x.out_width());
    bindings[kLse] = args.lse.As<float>() + row * x.heads;
    plans_->Run(plan, bindings, x);
  }
}

void CudnnAttention::Backward(const AttentionBackwardArgs& args, const AttentionExtents& x) {
  const Plan& plan = plans_->Find(Plans::Direction::kBackward, x);
  for (std::int64_t begin = 0; begin < x.sequences; begin += plan.sequences) {
    const std::int64_t row = begin * x.positions;
    Bindings bindings;
    BindHeads(Columns(args.qkv.data(), row * x.width()), x, kQuery, kKey, kValue, bindings);
    BindHeads(Columns(args.d_qkv.data(), row * x.width()), x, kQueryGradient, kKeyGradient, kValueGradient, bindings);
    bindings[kOut] = Columns(args.out.data(), row * x.out_width());
    bindings[kOutGradient] = Columns(args.d_out.data(), row * x.out_width());
    bindings[kLse] = const_cast<float*>(args.lse.As<float>()) + row * x.heads;
    plans_->Run(plan, bindings, x);
  }
}

}  // namespace coat::cuda
