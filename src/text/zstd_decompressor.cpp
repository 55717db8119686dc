#include "text/zstd_decompressor.h"

#include <zstd.h>

#include <new>

namespace coat {

void ZstdDecompressor::Free::operator()(ZSTD_DCtx_s* context) const {
  ::ZSTD_freeDCtx(context);
}

ZstdDecompressor::ZstdDecompressor() : context_(::ZSTD_createDCtx()) {
  if (!context_) throw std::bad_alloc();
  ::ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, 31);  // in range, so that it cannot fail
}

Decompressor::Step ZstdDecompressor::Decompress(std::span<const std::byte> compressed, std::span<std::byte> text) {
  if (!problem_.empty()) return {.state = State::kDamaged};
  ZSTD_inBuffer in = {compressed.data(), compressed.size(), 0};
  ZSTD_outBuffer out = {text.data(), text.size(), 0};
  const std::size_t result = ::ZSTD_decompressStream(context_.get(), &out, &in);
  Step step = {.consumed = in.pos, .produced = out.pos};
  if (::ZSTD_isError(result) != 0) {
    problem_ = ::ZSTD_getErrorName(result);
    step.state = State::kDamaged;
  } else if (result == 0) {
    step.state = State::kEndOfMember;
  }
  return step;
}

}  // namespace coat
