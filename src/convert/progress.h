#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "convert/copy_values.h"
#include "convert/write_model.h"

namespace coat {

/// Counts what has been written of a model, and tells.
class Progress {
 public:
  Progress(const Model& model, const WriteOptions& options) : tell_(options.progress) {
    for (const ModelTensor& tensor : model.tensors) total_ += tensor.elements();
  }

  std::int64_t total() const { return total_; }

  /// `sink`, counted: it takes values of `type`.
  ByteSink Counted(FloatType type, ByteSink sink) {
    return [this, type, sink = std::move(sink)](std::span<const std::byte> bytes) {
      sink(bytes);
      done_ += static_cast<std::int64_t>(bytes.size() / SizeOf(type));
      tell_(done_, total_);
    };
  }

  /// Likewise for values that do not count: of the optimizer's state.
  ByteSink Told(ByteSink sink) {
    return [this, sink = std::move(sink)](std::span<const std::byte> bytes) {
      sink(bytes);
      tell_(done_, total_);
    };
  }

 private:
  std::function<void(std::int64_t, std::int64_t)> tell_;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace coat
