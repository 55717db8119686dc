#include "ops/rope.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/divide.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"
#include "cuda/kernel/largest.cuh"
#include "cuda/kernel/launch.h"
#include "cuda/kernel/packed.cuh"
#include "cuda/kernel/vector_access.cuh"
#include "numerics/bfloat16.h"
#include "ops/visit.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 128;
/// Heads whose loads a thread has in flight together: with one head of queries, of keys and of values each, or with
/// the two that are rotated, all threads have equally many.
constexpr int kHeadsOfForward = 2;
constexpr int kHeadsOfBackward = 3;

/// How the threads of a block share its tokens. Both halves of a head are cut into slots of kVector elements; a thread
/// owns one slot, with its angles, in every `heads`-th head of one token.
struct Shares {
  int slots;   // threads side by side in a half of a head
  int heads;   // heads side by side
  int tokens;  // tokens of a block
};

/// kVector is 8, or 1 for any head size and alignment.
template <class T>
struct RopeOperands {
  T* qkv;
  const float* table;
  std::uint8_t* clip_mask;  // or null
  float* absmax;            // or null; of the gradient only
  float clip;               // 0 for none; of the forward op only
  std::int64_t tokens;
  std::int64_t positions;
  std::int64_t width;
  int head_size;
  int rotated_heads;
  int touched_heads;  // rotated_heads, or all heads if values are read or changed
  Shares shares;
};

/// This thread's share of its block.
struct Place {
  int slot;
  int head;
  std::int64_t token;  // or beyond the last one: nothing to do
};

template <class T>
__device__ inline Place PlaceOf(const RopeOperands<T>& args) {
  const int thread = static_cast<int>(threadIdx.x);
  const int row = thread / args.shares.slots;
  const int token = row / args.shares.heads;
  return {
      thread % args.shares.slots, row % args.shares.heads,
      token < args.shares.tokens ? static_cast<std::int64_t>(blockIdx.x) * args.shares.tokens + token : args.tokens};
}

/// Angles of one slot.
template <int kVector>
struct Angles {
  float cosine[kVector];
  float sine[kVector];

  __device__ void Load(const float* cosines, int half) {
    if constexpr (kVector == 1) {
      cosine[0] = cosines[0];
      sine[0] = cosines[half];
    } else {
      LoadValues(cosines, cosine);
      LoadValues(cosines + half, sine);
    }
  }
};

/// Calls turn(head, first, angles, a, b) for the slot of every head of this thread's tokens: `first` is the index in
/// qkv of the slot's first element, a and b are the values there and half a head on. Loads of several heads come before
/// the first turn, which may overwrite them.
template <int kVector, int kHeadsAtOnce, class T, class Turn>
__device__ inline void ForEachSlot(const RopeOperands<T>& args, Turn&& turn) {
  const Place place = PlaceOf(args);
  const int half = args.head_size / 2;
  // The first token of a thread and the step to its next one are small: positions take no division of 64 bits.
  const auto positions = static_cast<unsigned>(args.positions);
  const unsigned token_step = gridDim.x * static_cast<unsigned>(args.shares.tokens);
  const unsigned position_step = token_step % positions;
  unsigned position = static_cast<unsigned>(place.token) % positions;
  for (std::int64_t token = place.token; token < args.tokens; token += token_step) {
    for (int column = place.slot * kVector; column < half; column += args.shares.slots * kVector) {
      Angles<kVector> angles;
      angles.Load(args.table + static_cast<std::int64_t>(position) * args.head_size + column, half);
      for (int head = place.head; head < args.touched_heads; head += kHeadsAtOnce * args.shares.heads) {
        Packed<T, kVector> packed[kHeadsAtOnce][2];
        const std::int64_t first = token * args.width + column;
#pragma unroll
        for (int i = 0; i < kHeadsAtOnce; ++i) {
          const int own_head = head + i * args.shares.heads;
          if (own_head >= args.touched_heads) continue;
          const T* const address = args.qkv + first + static_cast<std::int64_t>(own_head) * args.head_size;
          packed[i][0] = Packed<T, kVector>::Load(address);
          packed[i][1] = Packed<T, kVector>::Load(address + half);
        }
#pragma unroll
        for (int i = 0; i < kHeadsAtOnce; ++i) {
          const int own_head = head + i * args.shares.heads;
          if (own_head >= args.touched_heads) continue;
          float a[kVector];
          float b[kVector];
          packed[i][0].Unpack(a);
          packed[i][1].Unpack(b);
          turn(own_head, first + static_cast<std::int64_t>(own_head) * args.head_size, angles, a, b);
        }
      }
    }
    position += position_step;
    if (position >= positions) position -= positions;
  }
}

/// Turns pairs by the angles; direction -1 turns back.
template <int kVector>
__device__ inline void Rotate(const Angles<kVector>& angles, float direction, float (&a)[kVector],
                              float (&b)[kVector]) {
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    const float s = direction * angles.sine[i];
    const float first = a[i] * angles.cosine[i] - b[i] * s;
    b[i] = b[i] * angles.cosine[i] + a[i] * s;
    a[i] = first;
  }
}

__device__ inline float Clamped(float x, float clip) {
  return x > clip ? clip : (x < -clip ? -clip : x);
}

/// Bit i is 1 where values[i] is within +-clip or NaN.
__device__ inline std::uint8_t ClipMaskOf(const float (&values)[8], float clip) {
  unsigned bits = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) bits |= fabsf(values[i]) > clip ? 0u : 1u << i;
  return static_cast<std::uint8_t>(bits);
}

/// Reads and writes each touched element once, two heads' 16-byte accesses in flight a thread; a row of angles serves
/// all heads of its token.
template <class T, int kVector, bool kClip>
__global__ void __launch_bounds__(kThreads) RopeForwardKernel(RopeOperands<T> args) {
  const int half = args.head_size / 2;
  ForEachSlot<kVector, kHeadsOfForward>(
      args, [&](int head, std::int64_t first, const Angles<kVector>& angles, float(&a)[kVector], float(&b)[kVector]) {
        if constexpr (kClip) {
          if constexpr (kVector == 8) {
            if (args.clip_mask != nullptr) {
              args.clip_mask[first / 8] = ClipMaskOf(a, args.clip);
              args.clip_mask[(first + half) / 8] = ClipMaskOf(b, args.clip);
            }
          }
#pragma unroll
          for (int i = 0; i < kVector; ++i) {
            a[i] = Clamped(a[i], args.clip);
            b[i] = Clamped(b[i], args.clip);
          }
        }
        if (head < args.rotated_heads) Rotate(angles, 1.0f, a, b);
        Packed<T, kVector>::Of(a).Store(args.qkv + first);
        Packed<T, kVector>::Of(b).Store(args.qkv + first + half);
      });
}

/// A byte of the mask a thread, for head sizes whose slots are no bytes. Runs before the clamp.
template <class T>
__global__ void __launch_bounds__(kThreads)
    ClipMaskKernel(const T* qkv, float clip, std::int64_t bytes, std::uint8_t* mask) {
  const std::int64_t byte = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (byte >= bytes) return;
  float values[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = ToFloat(qkv[byte * 8 + i]);
  mask[byte] = ClipMaskOf(values, clip);
}

/// Bits of the mask for kVector elements from element `first` of qkv on, in the low bits.
template <int kVector>
__device__ inline unsigned KeptBits(const std::uint8_t* mask, std::int64_t first) {
  return kVector == 8 ? mask[first / 8] : mask[first / 8] >> (first % 8);
}

template <int kVector>
__device__ inline void ZeroClipped(unsigned kept, float (&values)[kVector]) {
#pragma unroll
  for (int i = 0; i < kVector; ++i) values[i] = (kept >> i & 1u) != 0 ? values[i] : 0.0f;
}

/// As RopeForwardKernel, three heads at once. Gradients of values are read for the largest magnitude and written only
/// where they are clipped.
template <class T, int kVector, bool kMask>
__global__ void __launch_bounds__(kThreads) RopeBackwardKernel(RopeOperands<T> args) {
  const int half = args.head_size / 2;
  Largest<T> largest;
  ForEachSlot<kVector, kHeadsOfBackward>(
      args, [&](int head, std::int64_t first, const Angles<kVector>& angles, float(&a)[kVector], float(&b)[kVector]) {
        constexpr unsigned kAll = (1u << kVector) - 1u;
        unsigned kept[2] = {kAll, kAll};
        const bool rotated = head < args.rotated_heads;
        if (rotated) Rotate(angles, -1.0f, a, b);
        if constexpr (kMask) {
          kept[0] &= KeptBits<kVector>(args.clip_mask, first);
          kept[1] &= KeptBits<kVector>(args.clip_mask, first + half);
          ZeroClipped(kept[0], a);
          ZeroClipped(kept[1], b);
        }
        const Packed<T, kVector> packed[2] = {Packed<T, kVector>::Of(a), Packed<T, kVector>::Of(b)};
        largest.Take(packed[0]);
        largest.Take(packed[1]);
        if (rotated || kept[0] != kAll) packed[0].Store(args.qkv + first);
        if (rotated || kept[1] != kAll) packed[1].Store(args.qkv + first + half);
      });
  if (args.absmax != nullptr) ReportAbsMax<kThreads>(largest.bits(), args.absmax);
}

Shares SharesOf(std::int64_t slots, std::int64_t heads, int heads_at_once) {
  Shares shares;
  shares.slots = static_cast<int>(std::min<std::int64_t>(slots, kThreads));
  const auto wanted = static_cast<std::uint64_t>(std::max<std::int64_t>(heads / heads_at_once, 1));
  shares.heads = static_cast<int>(
      std::min(std::bit_floor(wanted), static_cast<std::uint64_t>(kThreads) / static_cast<unsigned>(shares.slots)));
  shares.tokens = kThreads / (shares.slots * shares.heads);
  return shares;
}

/// Calls launch.template operator()<kVector>(operands, blocks) with the vectors that sizes and addresses allow.
template <class T, class Launch>
void WithShares(CudaDevice& device, int heads_at_once, RopeOperands<T> args, Launch&& launch) {
  const std::int64_t half = args.head_size / 2;
  const bool in_vectors = half % 8 == 0 && IsAligned16(args.qkv) && IsAligned16(args.table);
  args.shares = SharesOf(in_vectors ? half / 8 : half, args.touched_heads, heads_at_once);
  // Enough blocks to fill the device several times over, and few enough atomic maxima at their ends.
  const std::int64_t blocks =
      std::min<std::int64_t>(DivideUp(args.tokens, args.shares.tokens), 32 * device.multiprocessors());
  if (in_vectors) {
    launch.template operator()<8>(args, static_cast<unsigned>(blocks));
  } else {
    launch.template operator()<1>(args, static_cast<unsigned>(blocks));
  }
  COAT_CUDA(cudaGetLastError());
}

template <class T>
void Forward(CudaDevice& device, const RopeOperands<T>& operands) {
  WithShares(device, kHeadsOfForward, operands, [&]<int kVector>(const RopeOperands<T>& args, unsigned blocks) {
    if (args.clip == 0.0f) {
      RopeForwardKernel<T, kVector, false><<<blocks, kThreads, 0, device.stream()>>>(args);
      return;
    }
    if (kVector == 1 && args.clip_mask != nullptr) {
      const std::int64_t bytes = args.tokens * args.width / 8;
      ClipMaskKernel<T>
          <<<BlocksFor(bytes, kThreads), kThreads, 0, device.stream()>>>(args.qkv, args.clip, bytes, args.clip_mask);
    }
    RopeForwardKernel<T, kVector, true><<<blocks, kThreads, 0, device.stream()>>>(args);
  });
}

template <class T>
void Backward(CudaDevice& device, const RopeOperands<T>& operands) {
  WithShares(device, kHeadsOfBackward, operands, [&]<int kVector>(const RopeOperands<T>& args, unsigned blocks) {
    if (args.clip_mask != nullptr) {
      RopeBackwardKernel<T, kVector, true><<<blocks, kThreads, 0, device.stream()>>>(args);
    } else {
      RopeBackwardKernel<T, kVector, false><<<blocks, kThreads, 0, device.stream()>>>(args);
    }
  });
}

}  // namespace

void RopeForward(Context& ctx, const RopeForwardArgs& args) {
  if (args.qkv.elements() == 0) return;
  const std::int64_t rotated_heads = args.heads + args.kv_heads;
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    Forward<T>(DeviceOf(ctx),
               {.qkv = args.qkv.As<T>(),
                .table = args.table.As<float>(),
                .clip_mask = args.clip_mask.As<std::uint8_t>(),
                .absmax = nullptr,
                .clip = args.clip,
                .tokens = args.qkv.shape()[0],
                .positions = args.table.shape()[0],
                .width = args.qkv.shape()[1],
                .head_size = static_cast<int>(args.table.shape()[1]),
                .rotated_heads = static_cast<int>(rotated_heads),
                .touched_heads = static_cast<int>(args.clip == 0.0f ? rotated_heads : rotated_heads + args.kv_heads),
                .shares = {}});
  });
}

void RopeBackward(Context& ctx, const RopeBackwardArgs& args) {
  CudaDevice& device = DeviceOf(ctx);
  if (args.absmax) COAT_CUDA(cudaMemsetAsync(args.absmax.data(), 0, sizeof(float), device.stream()));
  if (args.d_qkv.elements() == 0) return;
  const std::int64_t rotated_heads = args.heads + args.kv_heads;
  const bool touches_values = args.clip_mask || args.absmax;
  VisitPlain(args.d_qkv.dtype(), [&]<class T>() {
    Backward<T>(device,
                {.qkv = args.d_qkv.As<T>(),
                 .table = args.table.As<float>(),
                 .clip_mask = const_cast<std::uint8_t*>(args.clip_mask.As<std::uint8_t>()),
                 .absmax = args.absmax.As<float>(),
                 .clip = 0.0f,
                 .tokens = args.d_qkv.shape()[0],
                 .positions = args.table.shape()[0],
                 .width = args.d_qkv.shape()[1],
                 .head_size = static_cast<int>(args.table.shape()[1]),
                 .rotated_heads = static_cast<int>(rotated_heads),
                 .touched_heads = static_cast<int>(touches_values ? rotated_heads + args.kv_heads : rotated_heads),
                 .shares = {}});
  });
}

}  // namespace coat::cuda
