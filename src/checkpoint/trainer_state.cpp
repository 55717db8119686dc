#include "checkpoint/trainer_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <type_traits>

#include "base/error.h"
#include "checkpoint/checksum.h"
#include "checkpoint/directory.h"
#include "checkpoint/quoted.h"

namespace coat {

namespace {

using nlohmann::ordered_json;

/// Every key of train.json but the checksum, in its order; OLMo's names for what OLMo has.
template <class State, class Visitor>
void ForEachField(State& state, Visitor&& visit) {
  visit("global_step", state.step);
  visit("epoch", state.epoch);
  visit("global_train_examples_seen_this_epoch", state.examples_seen_this_epoch);
  visit("global_train_examples_seen", state.examples_seen);
  visit("global_train_tokens_seen", state.tokens_seen);
  visit("world_size", state.world_size);
  visit("cur_train_loss", state.current_train_loss);
  visit("min_train_loss", state.min_train_loss);
  visit("checkpoints", state.checkpoints);
  visit("unsharded_checkpoints", state.unsharded_checkpoints);
  visit("ephemeral_checkpoints", state.ephemeral_checkpoints);
  visit("extra", state.extra);
  visit("files", state.files);
}

/// Every key of "extra", in its order.
template <class Extra, class Visitor>
void ForEachExtra(Extra& extra, Visitor&& visit) {
  visit("bolt_on_start", extra.bolt_on_start);
  visit("evaluation_due", extra.evaluation_due);
  visit("run_in_save_folder", extra.run_in_save_folder);
  visit("skipped_in_a_row", extra.skipped_in_a_row);
  visit("skipped_steps", extra.skipped_steps);
  visit("updates", extra.updates);
}

constexpr const char* kChecksumKey = "crc32";
constexpr int kMostDepth = 4;  // what the reader's own recursion may meet

std::string ChecksumText(std::uint32_t crc32) {
  return fmt::format("{:08x}", crc32);
}

ordered_json Encode(std::int64_t value) {
  return value;
}

ordered_json Encode(double value) {
  if (std::isnan(value)) return "nan";  // JSON has no such numbers
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

ordered_json Encode(const std::vector<std::string>& values) {
  return values;
}

/// Its numbers are written with a fraction: 3.0.
ordered_json Encode(const TrainerState::Extra& extra) {
  ordered_json encoded = ordered_json::object();
  ForEachExtra(extra, [&]<class Value>(const char* key, const Value& value) {
    if (std::is_same_v<Value, bool> && !value) return;
    if (const std::optional<std::int64_t> number = value) encoded[key] = static_cast<double>(*number);
  });
  return encoded;
}

ordered_json Encode(const std::vector<FileRecord>& files) {
  ordered_json encoded = ordered_json::array();
  for (const FileRecord& file : files) {
    encoded.push_back({{"name", file.name}, {"size", file.size_bytes}, {kChecksumKey, ChecksumText(file.crc32)}});
  }
  return encoded;
}

ordered_json EncodeState(const TrainerState& state) {
  ordered_json encoded = ordered_json::object();
  ForEachField(state, [&](const char* key, const auto& value) { encoded[key] = Encode(value); });
  return encoded;
}

/// Of the values, not of the text: spaces and line ends do not matter.
std::string ChecksumOf(const ordered_json& encoded_state) {
  const std::string text = encoded_state.dump();
  return ChecksumText(Crc32(std::as_bytes(std::span(text.data(), text.size()))));
}

class Decoder {
 public:
  explicit Decoder(const std::string& path) : path_(path) {}

  [[noreturn]] void Throw(const std::string& problem) const { throw IoError(fmt::format("{}: {}", path_, problem)); }

  [[noreturn]] void Refuse(const std::string& key, const ordered_json& found, std::string_view expected) const {
    Throw(fmt::format("{} is {}; expected {}", key, Quoted(found.dump()), expected));
  }

  const ordered_json& At(const ordered_json& object, const std::string& prefix, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end()) Throw(fmt::format("the key {}{} is missing", prefix, key));
    return *found;
  }

  void RequireKnown(const std::string& prefix, const ordered_json& object,
                    const std::set<std::string_view>& known) const {
    for (const auto& [key, entry] : object.items()) {
      if (!known.contains(key)) Throw(fmt::format("unknown key {}", Quoted(prefix + key)));
    }
  }

  void Decode(const std::string& key, const ordered_json& found, std::int64_t& value) const {
    const auto* const number = found.get_ptr<const ordered_json::number_unsigned_t*>();
    if (number == nullptr || *number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      Refuse(key, found, "an integer from 0 to 2^63 - 1");
    }
    value = static_cast<std::int64_t>(*number);
  }

  void Decode(const std::string& key, const ordered_json& found, double& value) const {
    if (found.is_number()) {
      value = found.get<double>();
    } else if (found == "nan") {
      value = std::numeric_limits<double>::quiet_NaN();
    } else if (found == "inf" || found == "-inf") {
      value = found == "inf" ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
    } else {
      Refuse(key, found, "a number, or \"inf\", \"-inf\" or \"nan\"");
    }
  }

  void Decode(const std::string& key, const ordered_json& found, std::vector<std::string>& names) const {
    if (!found.is_array()) Refuse(key, found, "a list of checkpoint names");
    for (const ordered_json& entry : found) {
      if (!entry.is_string() || !ParseCheckpointName(entry.get_ref<const std::string&>())) {
        Refuse(fmt::format("{}[{}]", key, names.size()), entry, "a checkpoint's name, such as step100");
      }
      names.push_back(entry);
    }
  }

  void Decode(const std::string& key, const ordered_json& found, TrainerState::Extra& extra) const {
    if (!found.is_object()) Refuse(key, found, "an object of numbers");
    std::set<std::string_view> known;
    ForEachExtra(extra, [&]<class Value>(const char* name, Value& value) {
      known.insert(name);
      const auto entry = found.find(name);
      if (entry == found.end()) return;
      constexpr std::int64_t kMost = std::is_same_v<Value, bool> ? 1 : std::int64_t{1} << 53;
      value = DecodeWhole(fmt::format("{}.{}", key, name), *entry, kMost);
    });
    RequireKnown(key + ".", found, known);
  }

  std::int64_t DecodeWhole(const std::string& key, const ordered_json& found, std::int64_t most) const {
    const double value = found.is_number() ? found.get<double>() : -1.0;
    if (!(value >= 0.0 && value <= static_cast<double>(most) && value == std::trunc(value))) {
      Refuse(key, found, fmt::format("a whole number from 0 to {}", most));
    }
    return static_cast<std::int64_t>(value);
  }

  void Decode(const std::string& key, const ordered_json& found, std::vector<FileRecord>& files) const {
    if (!found.is_array()) Refuse(key, found, "a list of files");
    for (const ordered_json& entry : found) {
      const std::string prefix = fmt::format("{}[{}]", key, files.size());
      if (!entry.is_object()) Refuse(prefix, entry, "an object with name, size and crc32");
      const ordered_json& name = At(entry, prefix + ".", "name");
      const ordered_json& size = At(entry, prefix + ".", "size");
      const ordered_json& crc32 = At(entry, prefix + ".", kChecksumKey);
      if (entry.size() != 3) Refuse(prefix, entry, "name, size and crc32, and nothing else");
      if (!name.is_string() || !IsPlainFileName(name.get_ref<const std::string&>())) {
        Refuse(prefix + ".name", name, "the name of a file in the same folder");
      }
      std::int64_t size_bytes = 0;
      Decode(prefix + ".size", size, size_bytes);
      files.push_back({.name = name,
                       .size_bytes = static_cast<std::uint64_t>(size_bytes),
                       .crc32 = DecodeChecksum(prefix + "." + kChecksumKey, crc32)});
    }
  }

  std::uint32_t DecodeChecksum(const std::string& key, const ordered_json& found) const {
    std::uint32_t crc32 = 0;
    if (found.is_string()) {
      const auto& text = found.get_ref<const std::string&>();
      const char* const end = text.data() + text.size();
      const auto [stop, error] = std::from_chars(text.data(), end, crc32, 16);
      if (error == std::errc() && stop == end && ChecksumText(crc32) == text) return crc32;
    }
    Refuse(key, found, "8 hexadecimal digits");
  }

 private:
  const std::string& path_;
};

}  // namespace

std::string FormatTrainerState(const TrainerState& state) {
  try {
    ordered_json encoded = EncodeState(state);
    encoded[kChecksumKey] = ChecksumOf(encoded);
    std::string text = encoded.dump(2) + "\n";
    ParseTrainerState(text, kTrainerStateFile);
    return text;
  } catch (const IoError& error) {
    throw ArgumentError(fmt::format("FormatTrainerState: the state could not be read back: {}", error.what()));
  } catch (const ordered_json::exception&) {
    throw ArgumentError("FormatTrainerState: a name in the state is not UTF-8");
  }
}

TrainerState ParseTrainerState(std::string_view text, const std::string& path) {
  const Decoder decoder(path);
  ordered_json found;
  try {
    found = ordered_json::parse(text.begin(), text.end(), [&](int depth, ordered_json::parse_event_t, ordered_json&) {
      if (depth > kMostDepth) decoder.Throw(fmt::format("nested more than {} deep", kMostDepth));
      return true;
    });
  } catch (const ordered_json::parse_error& error) {
    decoder.Throw(fmt::format("no valid JSON at byte {} of {}", std::min(error.byte, text.size()), text.size()));
  } catch (const ordered_json::out_of_range&) {
    decoder.Throw("holds a number beyond double precision's range");
  }
  if (!found.is_object()) decoder.Throw("expected a JSON object");

  TrainerState state;
  std::set<std::string_view> known = {kChecksumKey};
  ForEachField(state, [&](const char* key, auto& value) {
    decoder.Decode(key, decoder.At(found, "", key), value);
    known.insert(key);
  });
  decoder.RequireKnown("", found, known);
  const std::string recorded = ChecksumText(decoder.DecodeChecksum(kChecksumKey, decoder.At(found, "", kChecksumKey)));
  found.erase(kChecksumKey);
  if (const std::string actual = ChecksumOf(found); actual != recorded) {
    decoder.Throw(fmt::format("damaged: its values have the checksum {}; expected {}", actual, recorded));
  }
  return state;
}

}  // namespace coat
