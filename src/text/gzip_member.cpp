#include "text/gzip_member.h"

#include <zlib.h>

#include <new>

namespace coat {

namespace {

constexpr int kGzipOnly = 16;  // added to zlib's window bits

}  // namespace

std::vector<std::byte> GzipMember(std::string_view text) {
  z_stream stream = {};
  if (::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzipOnly, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    throw std::bad_alloc();
  }
  std::vector<std::byte> member(::deflateBound(&stream, static_cast<uLong>(text.size())));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(member.data());
  stream.avail_out = static_cast<uInt>(member.size());
  ::deflate(&stream, Z_FINISH);  // one call is enough with the room that deflateBound asks for
  member.resize(stream.total_out);
  ::deflateEnd(&stream);
  return member;
}

}  // namespace coat
