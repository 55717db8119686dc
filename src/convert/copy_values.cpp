#include "convert/copy_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace coat {

namespace {

void CopyPiece(const TensorPiece& piece, std::span<const std::byte> values, FloatType type, const ByteSink& sink) {
  constexpr std::size_t kValuesAtATime = std::size_t{1} << 18;
  const std::size_t size = SizeOf(piece.type);
  std::vector<std::byte> converted;
  while (!values.empty()) {
    const std::size_t count = std::min(kValuesAtATime, values.size() / size);
    const std::span<const std::byte> some = values.first(count * size);
    values = values.subspan(some.size());
    if (piece.type == type) {
      sink(some);
      continue;
    }
    converted.resize(count * SizeOf(type));
    const std::int64_t overflows = ConvertFloats(some, piece.type, converted, type);
    if (overflows > 0) {
      throw IoError(fmt::format("{}: {} or more values are too large for {}; accepted: another --dtype", piece.place,
                                overflows, TorchName(type)));
    }
    sink(converted);
  }
}

}  // namespace

void CopyValues(const ModelTensor& tensor, std::int64_t first, std::int64_t count, FloatType type,
                const ByteSink& sink) {
  std::int64_t begin = 0;  // of the piece, in the tensor
  for (const TensorPiece& piece : tensor.pieces) {
    const std::int64_t from = std::max(first, begin) - begin;
    const std::int64_t to = std::min(first + count, begin + piece.elements) - begin;
    begin += piece.elements;
    if (from >= to) continue;
    const std::size_t size = SizeOf(piece.type);
    CopyPiece(piece,
              piece.bytes().subspan(static_cast<std::size_t>(from) * size, static_cast<std::size_t>(to - from) * size),
              type, sink);
  }
}

}  // namespace coat
