#pragma once
// zstd's decompression.

#include <memory>

#include "text/decompressor.h"

struct ZSTD_DCtx_s;

namespace coat {

/// zstd frames, by libzstd, with windows of up to 2 GiB: the largest that zstd makes (--long=31), as large archives of
/// text have. A frame takes as much memory as its window and its text need.
class ZstdDecompressor final : public Decompressor {
 public:
  ZstdDecompressor();

  std::string_view format() const override { return "zstd"; }
  Step Decompress(std::span<const std::byte> compressed, std::span<std::byte> text) override;
  std::string_view problem() const override { return problem_; }

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
  std::string_view problem_;
};

}  // namespace coat
