#include "ops/rope.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "cpu/absmax.h"
#include "ops/visit.h"
#include "cpu/lanes.h"

namespace coat::cpu {

namespace {

/// Rows of a parallel block.
constexpr std::int64_t kGrain = 16;

/// Bits of 1 for the elements of a row within +-clip, eight a byte. NaN counts as not clipped, for it stays NaN.
template <class T>
void WriteClipMask(const T* row, std::int64_t width, float clip, std::uint8_t* mask) {
  for (std::int64_t byte = 0; byte < width / 8; ++byte) {
    std::uint32_t clipped[8];
    for (int i = 0; i < 8; ++i) clipped[i] = std::abs(ToFloat(row[byte * 8 + i])) > clip ? 1u << i : 0u;
    std::uint32_t bits = 0xffu;
    for (int i = 0; i < 8; ++i) bits -= clipped[i];
    mask[byte] = static_cast<std::uint8_t>(bits);
  }
}

/// Sets the elements whose bit is 0 to 0. Without branches, for a mask may be any.
template <class T>
void ZeroClipped(const std::uint8_t* mask, std::int64_t width, T* row) {
  using Bits = std::conditional_t<sizeof(T) == sizeof(std::uint32_t), std::uint32_t, std::uint16_t>;
  for (std::int64_t byte = 0; byte < width / 8; ++byte) {
    for (int i = 0; i < 8; ++i) {
      T& x = row[byte * 8 + i];
      const auto keep = static_cast<Bits>(-(mask[byte] >> i & 1));
      x = std::bit_cast<T>(static_cast<Bits>(std::bit_cast<Bits>(x) & keep));
    }
  }
}

/// Turns pairs (j, j + half) of a head by the angles of `cosine` and `sine`, after clamping.
template <class T, class Clamp>
void Rotate(T* head, std::int64_t half, const float* cosine, const float* sine, float direction, Clamp&& clamp) {
  T* __restrict first = head;
  T* __restrict second = head + half;
  for (std::int64_t j = 0; j < half; ++j) {
    const float a = clamp(ToFloat(first[j]));
    const float b = clamp(ToFloat(second[j]));
    const float s = direction * sine[j];
    first[j] = RoundTo<T>(a * cosine[j] - b * s);
    second[j] = RoundTo<T>(b * cosine[j] + a * s);
  }
}

template <class T, class Clamp>
void RotateRow(T* row, std::int64_t rotated_heads, std::int64_t head_size, const float* angles, float direction,
               Clamp&& clamp) {
  const std::int64_t half = head_size / 2;
  for (std::int64_t h = 0; h < rotated_heads; ++h) {
    Rotate(row + h * head_size, half, angles, angles + half, direction, clamp);
  }
}

}  // namespace

void RopeForward(Context& ctx, const RopeForwardArgs& args) {
  const std::int64_t tokens = args.qkv.shape()[0];
  const std::int64_t width = args.qkv.shape()[1];
  const std::int64_t positions = args.table.shape()[0];
  const std::int64_t head_size = args.table.shape()[1];
  const std::int64_t rotated_heads = args.heads + args.kv_heads;
  const float clip = args.clip;
  const auto clamp = [clip](float x) { return x > clip ? clip : (x < -clip ? -clip : x); };
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(tokens, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        T* row = args.qkv.As<T>() + n * width;
        const float* angles = args.table.As<float>() + n % positions * head_size;
        if (clip == 0.0f) {
          RotateRow(row, rotated_heads, head_size, angles, 1.0f, [](float x) { return x; });
          continue;
        }
        if (args.clip_mask) WriteClipMask(row, width, clip, args.clip_mask.As<std::uint8_t>() + n * (width / 8));
        RotateRow(row, rotated_heads, head_size, angles, 1.0f, clamp);
        for (std::int64_t i = rotated_heads * head_size; i < width; ++i) row[i] = RoundTo<T>(clamp(ToFloat(row[i])));
      }
    });
  });
}

void RopeBackward(Context& ctx, const RopeBackwardArgs& args) {
  const std::int64_t tokens = args.d_qkv.shape()[0];
  const std::int64_t width = args.d_qkv.shape()[1];
  const std::int64_t positions = args.table.shape()[0];
  const std::int64_t head_size = args.table.shape()[1];
  const std::int64_t rotated_heads = args.heads + args.kv_heads;
  float unused = 0.0f;
  SharedAbsMax absmax(args.absmax ? args.absmax.As<float>() : &unused);
  VisitPlain(args.d_qkv.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(tokens, kGrain, [&](std::int64_t begin, std::int64_t end) {
      float largest = 0.0f;
      for (std::int64_t n = begin; n < end; ++n) {
        T* row = args.d_qkv.As<T>() + n * width;
        const float* angles = args.table.As<float>() + n % positions * head_size;
        RotateRow(row, rotated_heads, head_size, angles, -1.0f, [](float x) { return x; });
        if (args.clip_mask) ZeroClipped(args.clip_mask.As<std::uint8_t>() + n * (width / 8), width, row);
        if (args.absmax) largest = LaneAbsMax(width, largest, [&](std::int64_t i) { return ToFloat(row[i]); });
      }
      if (args.absmax) absmax.Report(largest);
    });
  });
}

}  // namespace coat::cpu
