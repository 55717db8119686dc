#include "data/token_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace coat {

static_assert(std::endian::native == std::endian::little, "token files are little-endian and are read in place");

namespace {

template <class Id>
std::uint32_t IdAt(const std::byte* from, std::size_t index) {
  Id id;
  std::memcpy(&id, from + index * sizeof(Id), sizeof(Id));
  return id;
}

/// Widens the ids and returns the largest: one pass that the compiler turns into vector code.
template <class Id>
std::uint32_t CopyIds(const std::byte* from, std::span<std::int32_t> tokens) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::uint32_t id = IdAt<Id>(from, i);
    largest = std::max(largest, id);
    tokens[i] = static_cast<std::int32_t>(id);
  }
  return largest;
}

template <class Id>
std::uint32_t LargestId(std::span<const std::byte> bytes) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < bytes.size() / sizeof(Id); ++i) largest = std::max(largest, IdAt<Id>(bytes.data(), i));
  return largest;
}

}  // namespace

bool HasNumpyHeader(std::span<const std::byte> bytes) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  if (bytes.size() < kMagic.size() + 2 || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return false;
  }
  const auto major = std::to_integer<int>(bytes[kMagic.size()]);
  const auto minor = std::to_integer<int>(bytes[kMagic.size() + 1]);
  return major >= 1 && major <= 3 && minor == 0;
}

std::string_view NameOf(TokenType type) {
  return type == TokenType::kUint16 ? "uint16" : "uint32";
}

TokenFile::TokenFile(std::string path, TokenType type, std::int64_t sequence_length)
    : file_(std::move(path), ReadOrder::kScattered), type_(type), sequence_length_(sequence_length) {
  COAT_REQUIRE(sequence_length > 0, "sequence_length is {}; it must be positive", sequence_length);
  if (HasNumpyHeader(file_.bytes())) {
    throw IoError(
        fmt::format("{0}: has the header of NumPy's .npy format at byte 0; token files are raw {1} without a header. "
                    "Convert it in Python: numpy.load(\"{0}\").astype(\"<u{2}\").tofile(\"NEW_FILE\")",
                    file_.path(), NameOf(type), SizeOf(type)));
  }
  if (file_.size() % SizeOf(type) != 0) {
    throw IoError(fmt::format("{}: has {} bytes, which is not a multiple of the {} of a {} token", file_.path(),
                              file_.size(), SizeOf(type), NameOf(type)));
  }
  if (sequence_count() == 0) {
    throw IoError(fmt::format("{}: has {} bytes = {} {} tokens; one sequence needs {} tokens = {} bytes", file_.path(),
                              file_.size(), token_count(), NameOf(type), sequence_length,
                              sequence_length * SizeOf(type)));
  }
}

void TokenFile::ReadSequence(std::int64_t index, std::int64_t vocab_size, std::span<std::int32_t> tokens) const {
  COAT_REQUIRE(index >= 0 && index < sequence_count(), "sequence {} was asked for; {} has {}", index, path(),
               sequence_count());
  COAT_REQUIRE(static_cast<std::int64_t>(tokens.size()) == sequence_length_, "there is room for {} tokens; T is {}",
               tokens.size(), sequence_length_);
  const std::int64_t first = index * sequence_length_;
  const std::span<const std::byte> bytes = file_.Range(first * SizeOf(type_), sequence_length_ * SizeOf(type_));
  const std::uint32_t largest = type_ == TokenType::kUint16 ? CopyIds<std::uint16_t>(bytes.data(), tokens)
                                                            : CopyIds<std::uint32_t>(bytes.data(), tokens);
  if (largest >= vocab_size) FailBeyond(first, bytes, vocab_size);
}

void TokenFile::CheckSequences(std::int64_t first, std::int64_t count, std::int64_t vocab_size) const {
  COAT_REQUIRE(first >= 0 && count >= 0 && count <= sequence_count() && first <= sequence_count() - count,
               "sequences [{}, {} + {}) were asked for; {} has {}", first, first, count, path(), sequence_count());
  const std::int64_t token = first * sequence_length_;
  const std::span<const std::byte> bytes = file_.Range(token * SizeOf(type_), count * sequence_length_ * SizeOf(type_));
  const std::uint32_t largest =
      type_ == TokenType::kUint16 ? LargestId<std::uint16_t>(bytes) : LargestId<std::uint32_t>(bytes);
  if (largest >= vocab_size) FailBeyond(token, bytes, vocab_size);
}

/// Says which is the first id beyond the vocabulary in `bytes`, which begin with token `first` and have one.
void TokenFile::FailBeyond(std::int64_t first, std::span<const std::byte> bytes, std::int64_t vocab_size) const {
  std::size_t bad = 0;
  const auto id = [&] {
    return type_ == TokenType::kUint16 ? IdAt<std::uint16_t>(bytes.data(), bad)
                                       : IdAt<std::uint32_t>(bytes.data(), bad);
  };
  const std::size_t last = bytes.size() / static_cast<std::size_t>(SizeOf(type_)) - 1;
  while (bad < last && id() < vocab_size) ++bad;
  const std::int64_t token = first + static_cast<std::int64_t>(bad);
  throw IoError(fmt::format("{}: token {} (byte {}) is {}; the vocabulary has {} ids, 0 to {}", path(), token,
                            token * SizeOf(type_), id(), vocab_size, vocab_size - 1));
}

}  // namespace coat
