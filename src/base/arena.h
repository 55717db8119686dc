#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

/// One block of memory that hands out tensors in order and never frees one alone.
///
/// A measuring arena (on kMeta) has no block: it counts. A bound arena has exactly the bytes that were measured, so an
/// overrun means that the two runs differ and throws ArgumentError naming the tensor. Not thread-safe.
class Arena {
 public:
  struct Entry {
    std::string name;
    std::int64_t bytes;  // as handed out, without the padding to kAlignment
    TensorView tensor;
  };
  static constexpr std::int64_t kAlignment = 256;

  /// An arena that only counts; its tensors are on kMeta.
  static Arena Measuring(std::string name);
  /// An arena of `capacity_bytes` on the context's device, cpu or cuda, filled with zeros. Throws std::bad_alloc when
  /// there is not enough memory.
  static Arena Bound(std::string name, const Context& ctx, std::int64_t capacity_bytes);

  TensorView Tensor(std::string_view name, Shape shape, DType dtype);
  /// Codes and, where the format has them, scales; two entries, "name" and "name.scales".
  QuantizedView Quantized(std::string_view name, Shape shape, Format format);

  const std::string& name() const { return name_; }
  DeviceKind device() const { return device_; }
  /// Bytes in use now, and the most there ever were; both include the padding of every tensor to kAlignment.
  std::int64_t used_bytes() const { return used_; }
  std::int64_t peak_bytes() const { return peak_; }
  /// Everything handed out and not given back, in order.
  const std::vector<Entry>& entries() const { return entries_; }

  /// Gives back, when destroyed, what was handed out since it was made. Scopes nest like a stack.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), used_(arena.used_), entries_(arena.entries_.size()) {}
    ~Scope() {
      arena_.used_ = used_;
      arena_.entries_.resize(entries_);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    std::int64_t used_;
    std::size_t entries_;
  };

 private:
  struct FreeBlock {
    std::shared_ptr<Device> device;  // null: host memory
    void operator()(std::byte* block) const;
  };

  Arena(std::string name, DeviceKind device, std::int64_t capacity)
      : name_(std::move(name)), device_(device), capacity_(capacity) {}

  std::string name_;
  DeviceKind device_;
  std::int64_t capacity_;
  std::int64_t used_ = 0;
  std::int64_t peak_ = 0;
  std::vector<Entry> entries_;
  std::unique_ptr<std::byte, FreeBlock> block_;
};

}  // namespace coat
