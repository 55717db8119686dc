#pragma once
// Values as the texts that ranks tell one another (Communicator::AllGatherText, Agreement::Meet).

#include <concepts>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/communicator.h"

namespace coat {

/// Writes values one after the other: integers as their bytes, lists and texts behind their length. See Pack.
class Packer {
 public:
  template <std::integral T>
  void Put(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Put(const std::string& value) {
    Put(value.size());
    text_ += value;
  }
  template <class T>
  void Put(const std::optional<T>& value) {
    Put(value.has_value());
    if (value) Put(*value);
  }
  template <class First, class Second>
  void Put(const std::pair<First, Second>& value) {
    Put(value.first);
    Put(value.second);
  }
  template <class T>
  void Put(const std::vector<T>& values) {
    Put(values.size());
    for (const T& value : values) Put(value);
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Reads them back. See Unpack.
class Unpacker {
 public:
  explicit Unpacker(std::string_view text) : rest_(text) {}

  template <std::integral T>
  void Take(T& value) {
    std::memcpy(&value, TakeBytes(sizeof(value)).data(), sizeof(value));
  }
  void Take(std::string& value) {
    std::size_t size = 0;
    Take(size);
    value = TakeBytes(size);
  }
  template <class T>
  void Take(std::optional<T>& value) {
    bool has_value = false;
    Take(has_value);
    if (has_value) Take(value.emplace());
  }
  template <class First, class Second>
  void Take(std::pair<First, Second>& value) {
    Take(value.first);
    Take(value.second);
  }
  template <class T>
  void Take(std::vector<T>& values) {
    std::size_t size = 0;
    Take(size);
    for (std::size_t i = 0; i < size; ++i) Take(values.emplace_back());
  }

  bool IsAtEnd() const { return rest_.empty(); }

 private:
  std::string_view TakeBytes(std::size_t count) {
    COAT_REQUIRE(count <= rest_.size(), "Unpack: the text ends within a value");
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }

  std::string_view rest_;
};

/// Integers, std::string, and std::optional, std::pair and std::vector of them, as a text for Unpack with the same
/// types in the same program. Equal values make equal texts.
template <class... Values>
std::string Pack(const Values&... values) {
  Packer packer;
  (packer.Put(values), ...);
  return packer.text();
}

/// The values of a text of Pack. Throws ArgumentError for a text that is shorter or longer than such values.
template <class... Values>
std::tuple<Values...> Unpack(std::string_view text) {
  std::tuple<Values...> values;
  Unpacker unpacker(text);
  std::apply([&](auto&... value) { (unpacker.Take(value), ...); }, values);
  COAT_REQUIRE(unpacker.IsAtEnd(), "Unpack: the text goes on behind the values");
  return values;
}

/// The values that rank 0 has, on every rank.
template <class... Values>
std::tuple<Values...> OfRankZero(Communicator& ranks, const Values&... values) {
  return Unpack<Values...>(ranks.AllGatherText(Pack(values...)).front());
}

}  // namespace coat
