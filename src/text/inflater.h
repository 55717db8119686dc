#pragma once
// zlib's decompression of gzip data.

#include <zlib.h>

#include "text/decompressor.h"

namespace coat {

/// gzip, by zlib. Zeros behind a member, with which tapes and disks fill blocks, count as its own. Neither copied nor
/// moved: zlib keeps its address.
class Inflater final : public Decompressor {
 public:
  Inflater();
  ~Inflater() override;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  std::string_view format() const override { return "gzip"; }
  Step Decompress(std::span<const std::byte> compressed, std::span<std::byte> text) override;
  std::string_view problem() const override { return stream_.msg != nullptr ? stream_.msg : "no reason given"; }

 private:
  z_stream stream_ = {};
  bool is_behind_member_ = false;
};

}  // namespace coat
