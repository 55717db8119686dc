#include "convert/hf_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/mapped_file.h"
#include "checkpoint/file_names.h"
#include "checkpoint/quoted.h"
#include "convert/hf_files.h"
#include "convert/json_object.h"

namespace coat {

namespace {

using nlohmann::json;

constexpr const char* kBegin = "bos_token_id";
constexpr const char* kEnd = "eos_token_id";
constexpr const char* kPad = "pad_token_id";

/// Whether `value` says no more than that this token is meant.
bool Means(const json& value, std::int64_t token) {
  return value == json(token) || value == json::array({token});
}

/// A key as it is, unless it is made to do something to a terminal.
std::string Plain(const std::string& key) {
  const auto is_plain = [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return std::ranges::all_of(key, is_plain) ? key : Quoted(key);
}

/// Notes a file and what only it has.
void Add(const std::string& path, const std::vector<std::string>& what, HfSettings& settings) {
  if (what.empty()) return;
  std::string text = path + ": " + what.front();
  for (std::size_t i = 1; i < what.size(); ++i) text += ", " + what[i];
  settings.only_there.push_back(std::move(text));
}

void ReadTokens(const std::string& path, const ModelConfig& model, HfSettings& settings) {
  const json config = ReadJsonObject(path);
  json tokens = json::object();
  std::vector<std::string> only_there;
  for (const char* const key : {kBegin, kEnd, kPad}) {
    const auto found = config.find(key);
    if (found == config.end()) continue;
    tokens[key] = *found;
    if (key == kBegin) {
      if (!found->is_null()) only_there.emplace_back(key);
    } else if (found->is_null()) {
      only_there.push_back(
          fmt::format("{} null ({} instead)", key, key == kEnd ? model.eos_token_id : model.pad_token_id));
    }
  }
  settings.tokens = tokens.dump();
  Add(path, only_there, settings);
}

void ReadGeneration(const std::string& path, const ModelConfig& model, HfSettings& settings) {
  if (KindOf(path) == PathKind::kMissing) return;
  const json generation = ReadJsonObject(path);
  settings.generation = MappedFile(path).text();
  std::vector<std::string> only_there;
  for (const auto& [key, value] : generation.items()) {
    const bool says_nothing = key == "_from_model_config" || key == "transformers_version" || value.is_null();
    if (says_nothing || (key == kEnd && Means(value, model.eos_token_id)) ||
        (key == kPad && Means(value, model.pad_token_id))) {
      continue;
    }
    only_there.push_back(Plain(key));
  }
  Add(path, only_there, settings);
}

}  // namespace

HfSettings ReadHfSettings(const std::string& folder, const ModelConfig& model) {
  HfSettings settings;
  ReadTokens(fmt::format("{}/{}", folder, kHfConfigFile), model, settings);
  ReadGeneration(fmt::format("{}/{}", folder, kHfGenerationConfigFile), model, settings);
  return settings;
}

}  // namespace coat
