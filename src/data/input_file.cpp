#include "data/input_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace coat {

InputFile::InputFile(std::string path) : file_(std::move(path), O_RDONLY), buffer_(std::size_t{1} << 18) {
  file_.Size();  // refuses a folder
  Refill();
  const bool is_gzip = pending_.size() >= 2 && pending_[0] == std::byte{0x1f} && pending_[1] == std::byte{0x8b};
  if (is_gzip) {
    inflater_.emplace();
  } else if (this->path().ends_with(".gz")) {
    throw IoError(
        fmt::format("{}: is named .gz and is not gzip: it does not begin with the bytes 1f 8b", this->path()));
  }
}

void InputFile::Refill() {
  // A pipe may give its bytes one at a time; the two that tell gzip must be together.
  std::size_t count = 0;
  while (count < 2) {
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
  if (inflater_.has_value()) {
    return Inflate(bytes);
  }
  if (pending_.empty()) {
    Refill();
  }
  const std::size_t count = std::min(bytes.size(), pending_.size());
  std::memcpy(bytes.data(), pending_.data(), count);
  pending_ = pending_.subspan(count);
  return count;
}

std::size_t InputFile::Inflate(std::span<std::byte> bytes) {
  for (;;) {
    if (pending_.empty()) {
      Refill();
    }
    if (pending_.empty()) {
      if (is_in_member_) {
        throw IoError(fmt::format("{}: the gzip data are cut short at byte {}", path(), consumed_bytes()));
      }
      return 0;
    }
    const Inflater::Step step = inflater_->Inflate(pending_, bytes);
    pending_ = pending_.subspan(step.consumed);
    is_in_member_ = step.state != Inflater::State::kEndOfMember;
    if (step.state == Inflater::State::kDamaged) {
      throw IoError(fmt::format("{}: the gzip data are damaged near byte {}: {}", path(), consumed_bytes(),
                                inflater_->problem()));
    }
    if (step.produced > 0) {
      return step.produced;
    }
  }
}

}  // namespace coat
