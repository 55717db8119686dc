#include "checkpoint/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "checkpoint/quoted.h"

namespace coat {

namespace {

using nlohmann::json;

/// Takes the header event by event, so that a hostile one costs no more memory than its own tensors, a key that comes
/// twice is seen, and nothing is accepted that this class does not name.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  SafetensorsHeader Take() { return std::move(header_); }

  bool null() override { return Refuse("null"); }
  bool boolean(bool value) override { return Refuse(value ? "true" : "false"); }
  bool number_float(double, const std::string& text) override { return Refuse(Quoted(text)); }
  bool binary(json::binary_t&) override { return Refuse("binary data"); }

  bool number_integer(std::int64_t value) override {
    if (value < 0) return Refuse(fmt::format("{}", value));
    return number_unsigned(static_cast<std::uint64_t>(value));
  }

  bool number_unsigned(std::uint64_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return Refuse(fmt::format("{}", value));
    }
    if (place_ == Place::kShape) {
      tensor_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::kOffsets && offsets_seen_ < 2) {
      (offsets_seen_ == 0 ? tensor_.begin : tensor_.end) = value;
      ++offsets_seen_;
    } else {
      return Refuse(fmt::format("{}", value));
    }
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata && key_seen_) {
      header_.metadata.emplace(key_, value);
      key_seen_ = false;
    } else if (place_ == Place::kTensor && key_ == "dtype") {
      tensor_.dtype = value;
      key_.clear();
    } else {
      return Refuse(Quoted(value));
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      if (key_ == "__metadata__") {
        place_ = Place::kMetadata;
      } else {
        place_ = Place::kTensor;
        tensor_ = TensorInfo{.name = key_, .dtype = {}, .shape = {}};
        tensor_keys_.clear();
        offsets_seen_ = 0;
      }
      key_.clear();
      key_seen_ = false;
    } else {
      return Refuse("an object");
    }
    return true;
  }

  bool key(std::string& value) override {
    key_ = value;
    key_seen_ = true;
    if (place_ == Place::kTop && !top_keys_.insert(value).second) {
      Throw(fmt::format("the name {} comes twice", Quoted(value)));
    }
    if (place_ == Place::kMetadata && header_.metadata.count(value) != 0) {
      Throw(fmt::format("__metadata__: the key {} comes twice", Quoted(value)));
    }
    if (place_ == Place::kTensor) {
      if (value != "dtype" && value != "shape" && value != "data_offsets") {
        Throw(fmt::format("tensor {}: unknown key {}; expected dtype, shape and data_offsets", Quoted(tensor_.name),
                          Quoted(value)));
      }
      if (!tensor_keys_.insert(value).second) {
        Throw(fmt::format("tensor {}: the key {} comes twice", Quoted(tensor_.name), value));
      }
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      for (const char* const needed : {"dtype", "shape", "data_offsets"}) {
        if (tensor_keys_.count(needed) == 0) {
          Throw(fmt::format("tensor {}: the key {} is missing", Quoted(tensor_.name), needed));
        }
      }
      header_.tensors.push_back(std::move(tensor_));
      place_ = Place::kTop;
    } else {
      place_ = place_ == Place::kMetadata ? Place::kTop : Place::kEnd;
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kTensor && key_ == "shape") {
      place_ = Place::kShape;
    } else if (place_ == Place::kTensor && key_ == "data_offsets") {
      place_ = Place::kOffsets;
    } else {
      return Refuse("a list");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && offsets_seen_ != 2) {
      Throw(fmt::format("tensor {}: data_offsets has {} numbers; expected 2", Quoted(tensor_.name), offsets_seen_));
    }
    place_ = Place::kTensor;
    key_.clear();
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token, const json::exception&) override {
    Throw(fmt::format("no valid JSON at byte {} (after {})", position, Quoted(token)));
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  [[noreturn]] void Throw(const std::string& problem) const {
    throw IoError(fmt::format("{}: header: {}", file_, problem));
  }

  /// Always throws; returns for the callers' sake.
  bool Refuse(const std::string& found) const {
    switch (place_) {
      case Place::kMetadata:
        Throw(fmt::format("__metadata__: the value of {} is {}; expected a string", Quoted(key_), found));
      case Place::kShape:
        Throw(fmt::format("tensor {}: shape holds {}; expected integers from 0 to 2^63 - 1", Quoted(tensor_.name),
                          found));
      case Place::kOffsets:
        Throw(fmt::format("tensor {}: data_offsets holds {}; expected 2 integers from 0 to 2^63 - 1",
                          Quoted(tensor_.name), found));
      case Place::kTensor:
        Throw(fmt::format("tensor {}: {} is {}; expected {}", Quoted(tensor_.name), key_, found,
                          key_ == "dtype" ? "a string" : "a list of integers"));
      case Place::kTop:
        Throw(fmt::format("the value of {} is {}; expected an object", Quoted(key_), found));
      case Place::kStart:
      case Place::kEnd:
        break;
    }
    Throw(fmt::format("found {}; expected one object", found));
  }

  const std::string& file_;
  SafetensorsHeader header_;
  Place place_ = Place::kStart;
  std::string key_;
  bool key_seen_ = false;
  std::set<std::string> top_keys_;
  std::set<std::string> tensor_keys_;
  TensorInfo tensor_;
  int offsets_seen_ = 0;
};

void CheckSize(const TensorInfo& tensor, const std::string& file) {
  const auto fail = [&](const std::string& problem) {
    throw IoError(fmt::format("{}: tensor {}: {}", file, Quoted(tensor.name), problem));
  };
  const std::optional<std::uint64_t> element_bytes = ElementBytes(tensor.dtype);
  if (!element_bytes) fail(fmt::format("unknown dtype {}; expected one of {}", Quoted(tensor.dtype), KnownDtypes()));
  const std::optional<std::uint64_t> size_bytes = TensorBytes(tensor.shape, *element_bytes);
  if (!size_bytes) fail(fmt::format("shape {} has more than 2^63 - 1 bytes", ShapeText(tensor.shape)));
  if (tensor.begin > tensor.end) fail(fmt::format("data_offsets [{}, {}] run backward", tensor.begin, tensor.end));
  if (tensor.size_bytes() != *size_bytes) {
    fail(fmt::format("data_offsets [{}, {}] hold {} bytes; expected {} for {} {}", tensor.begin, tensor.end,
                     tensor.size_bytes(), *size_bytes, tensor.dtype, ShapeText(tensor.shape)));
  }
}

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(std::string_view text, std::uint64_t data_bytes, const std::string& file) {
  if (text.empty() || text.front() != '{') {
    throw IoError(fmt::format("{}: header: starts with {}; expected {{", file, Quoted(text.substr(0, 1))));
  }
  // The JSON reader would take a null byte for the end of its input and let anything follow it.
  if (const std::size_t at = text.find('\0'); at != std::string_view::npos) {
    throw IoError(fmt::format("{}: header: null byte at byte {}; expected JSON", file, at));
  }
  HeaderReader reader(file);
  json::sax_parse(text.begin(), text.end(), &reader);
  SafetensorsHeader header = reader.Take();

  for (const TensorInfo& tensor : header.tensors) CheckSize(tensor, file);
  std::sort(header.tensors.begin(), header.tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t filled = 0;
  for (const TensorInfo& tensor : header.tensors) {
    if (tensor.begin != filled) {
      throw IoError(fmt::format("{}: tensor {}: its bytes start at {}; expected {}, where those before it end ({})",
                                file, Quoted(tensor.name), tensor.begin, filled,
                                tensor.begin < filled ? "they overlap" : "there is a hole"));
    }
    filled = tensor.end;
  }
  if (filled != data_bytes) {
    throw IoError(fmt::format("{}: {} bytes of data follow the header; expected {}, where the last tensor ends ({})",
                              file, data_bytes, filled, data_bytes < filled ? "truncated" : "trailing bytes"));
  }
  return header;
}

std::string FormatSafetensorsHeader(const std::vector<TensorInfo>& tensors,
                                    const std::map<std::string, std::string>& metadata) {
  const auto quote = [](const std::string& text) {
    try {
      return json(text).dump();
    } catch (const json::type_error&) {
      throw ArgumentError(fmt::format("{} is not UTF-8; a safetensors header holds nothing else", Quoted(text)));
    }
  };
  std::string text = "{";
  const auto separate = [&text] {
    if (text.back() != '{') text += ',';
  };
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      separate();
      text += fmt::format("{}:{}", quote(key), quote(value));
    }
    text += '}';
  }
  for (const TensorInfo& tensor : tensors) {
    separate();
    text += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[", quote(tensor.name), tensor.dtype);
    for (std::size_t i = 0; i < tensor.shape.size(); ++i)
      text += fmt::format("{}{}", i == 0 ? "" : ",", tensor.shape[i]);
    text += fmt::format("],\"data_offsets\":[{},{}]}}", tensor.begin, tensor.end);
  }
  text += '}';
  constexpr std::size_t kAlignment = 8;  // the length before the header takes 8 bytes itself
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  return text;
}

}  // namespace coat
