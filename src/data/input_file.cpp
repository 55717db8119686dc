#include "data/input_file.h"

#include <fcntl.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.h"

namespace coat {

/// zlib's state for one gzip member after the other.
class InputFile::Inflater {
 public:
  Inflater() {
    constexpr int kGzipOnly = 16;
    if (::inflateInit2(&stream, MAX_WBITS + kGzipOnly) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~Inflater() { ::inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream = {};
  bool in_member = true;  // false between members and at the end
};

InputFile::InputFile(std::string path) : file_(std::move(path), O_RDONLY), buffer_(std::size_t{1} << 18) {
  file_.Size();  // refuses a folder
  Refill();
  const bool is_gzip = pending_.size() >= 2 && pending_[0] == std::byte{0x1f} && pending_[1] == std::byte{0x8b};
  if (is_gzip) {
    inflater_ = std::make_unique<Inflater>();
  } else if (this->path().ends_with(".gz")) {
    throw IoError(
        fmt::format("{}: is named .gz and is not gzip: it does not begin with the bytes 1f 8b", this->path()));
  }
}

InputFile::~InputFile() = default;

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
  if (inflater_ != nullptr) {
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
  z_stream& stream = inflater_->stream;
  for (;;) {
    if (pending_.empty()) {
      Refill();
    }
    if (pending_.empty()) {
      if (inflater_->in_member) {
        throw IoError(fmt::format("{}: the gzip data are cut short at byte {}", path(), consumed_bytes()));
      }
      return 0;
    }
    inflater_->in_member = true;
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(pending_.data()));
    stream.avail_in = static_cast<uInt>(pending_.size());
    stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
    stream.avail_out = static_cast<uInt>(std::min<std::size_t>(bytes.size(), 1u << 30));
    const uInt room = stream.avail_out;
    const int result = ::inflate(&stream, Z_NO_FLUSH);
    pending_ = pending_.last(stream.avail_in);
    if (result == Z_STREAM_END) {
      inflater_->in_member = false;
      ::inflateReset(&stream);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      throw IoError(fmt::format("{}: the gzip data are damaged near byte {}: {}", path(), consumed_bytes(),
                                stream.msg != nullptr ? stream.msg : "no reason given"));
    }
    if (const uInt count = room - stream.avail_out; count > 0) {
      return count;
    }
  }
}

}  // namespace coat
