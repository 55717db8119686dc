#include "text/input_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace coat {

InputFile::InputFile(std::string path) : file_(std::move(path), O_RDONLY), buffer_(std::size_t{1} << 18) {
  file_.Size();  // refuses a folder
  Refill();
  decompressor_ = DecompressorFor(pending_);
  const auto require = [&](std::string_view ending, std::string_view format, std::string_view bytes) {
    if (!this->path().ends_with(ending) || (decompressor_ && decompressor_->format() == format)) return;
    throw IoError(fmt::format("{}: is named {} and is not {}: it does not begin with the bytes {}", this->path(),
                              ending, format, bytes));
  };
  require(".gz", "gzip", "1f 8b");
  require(".zst", "zstd", "28 b5 2f fd");
}

void InputFile::Refill() {
  // A pipe may give its bytes one at a time; those that tell the format must be together.
  std::size_t count = 0;
  while (count < 4) {
    const std::size_t more = file_.Read(std::span(buffer_).subspan(count));
    if (more == 0) {
      break;
    }
    count += more;
  }
  read_bytes_ += static_cast<std::int64_t>(count);
  pending_ = std::span(buffer_).first(count);
}

std::size_t InputFile::Read(std::span<std::byte> bytes) {
  if (decompressor_) return Decompress(bytes);
  if (pending_.empty()) Refill();
  const std::size_t count = std::min(bytes.size(), pending_.size());
  std::memcpy(bytes.data(), pending_.data(), count);
  pending_ = pending_.subspan(count);
  return count;
}

std::size_t InputFile::Decompress(std::span<std::byte> bytes) {
  for (;;) {
    if (pending_.empty()) Refill();
    const bool at_end = pending_.empty();
    if (at_end && !is_in_member_) return 0;
    const Decompressor::Step step = decompressor_->Decompress(pending_, bytes);
    pending_ = pending_.subspan(step.consumed);
    is_in_member_ = step.state != Decompressor::State::kEndOfMember;
    if (step.state == Decompressor::State::kDamaged) {
      throw IoError(fmt::format("{}: the {} data are damaged near byte {}: {}", path(), decompressor_->format(),
                                consumed_bytes(), decompressor_->problem()));
    }
    if (step.produced > 0) return step.produced;
    if (at_end && is_in_member_) {
      throw IoError(
          fmt::format("{}: the {} data are cut short at byte {}", path(), decompressor_->format(), consumed_bytes()));
    }
  }
}

}  // namespace coat
