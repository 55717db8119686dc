#include "text/inflater.h"

#include <algorithm>
#include <new>

namespace coat {

namespace {

constexpr int kGzipOnly = 16;                             // added to zlib's window bits
constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // zlib counts in 32 bits

}  // namespace

Inflater::Inflater() {
  if (::inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) {
    throw std::bad_alloc();
  }
}

Inflater::~Inflater() {
  ::inflateEnd(&stream_);
}

Decompressor::Step Inflater::Decompress(std::span<const std::byte> compressed, std::span<std::byte> text) {
  std::size_t zeros = 0;
  if (is_behind_member_) {
    while (zeros < compressed.size() && compressed[zeros] == std::byte{0}) ++zeros;
    if (zeros == compressed.size()) return {.consumed = zeros, .state = State::kEndOfMember};
    compressed = compressed.subspan(zeros);
  }
  const auto room = static_cast<uInt>(std::min(text.size(), kMostBytes));
  const auto given = static_cast<uInt>(std::min(compressed.size(), kMostBytes));
  stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(compressed.data()));
  stream_.avail_in = given;
  stream_.next_out = reinterpret_cast<Bytef*>(text.data());
  stream_.avail_out = room;
  const int result = ::inflate(&stream_, Z_NO_FLUSH);
  Step step = {.consumed = zeros + given - stream_.avail_in, .produced = room - stream_.avail_out};
  is_behind_member_ = result == Z_STREAM_END;
  if (is_behind_member_) {
    step.state = State::kEndOfMember;
    ::inflateReset(&stream_);
  } else if (result != Z_OK && result != Z_BUF_ERROR) {  // the latter: it cannot go on with what it was given
    step.state = State::kDamaged;
  }
  return step;
}

}  // namespace coat
