#include "convert/native_states.h"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "base/error.h"
#include "checkpoint/quoted.h"
#include "checkpoint/safetensors.h"
#include "convert/native_names.h"
#include "convert/safetensors_key.h"
#include "convert/torch_file.h"

namespace coat {

namespace {

using Kind = PickleValue::Kind;
using NumberedNames = std::map<std::int64_t, std::string>;

constexpr const char* kStates = "state";
constexpr const char* kGroups = "param_groups";

/// Under DDP states have numbers, which the parameter groups give to names.
NumberedNames NumberNames(const PickleValue* groups, const std::string& path) {
  if (groups == nullptr || groups->kind != Kind::kList) FailInStates(path, "no list \"param_groups\"");
  NumberedNames names;
  for (const PickleValue* const group : groups->items) {
    const PickleValue* const numbers = group->Find("params");
    const PickleValue* const texts = group->Find("param_names");
    if (numbers == nullptr || texts == nullptr || numbers->items.size() != texts->items.size()) continue;
    for (std::size_t i = 0; i < texts->items.size(); ++i) {
      if (numbers->items[i]->kind == Kind::kInteger) names[numbers->items[i]->integer] = texts->items[i]->text;
    }
  }
  return names;
}

const std::string& NameOf(std::int64_t number, const NumberedNames& names, const std::string& path) {
  const auto found = names.find(number);
  if (found == names.end()) FailInStates(path, "a state without a name");
  return found->second;
}

std::optional<double> NumberOf(const PickleValue& value) {
  if (value.kind == Kind::kInteger) return static_cast<double>(value.integer);
  if (value.kind == Kind::kFloat) return value.number;
  return std::nullopt;
}

NativeStateTensor TensorOf(const std::shared_ptr<const TorchFile>& file, const PickleValue& value,
                           const std::string& name) {
  const TorchTensor tensor = file->Tensor(value, name);
  return {.type = tensor.type(), .type_text = tensor.storage_class, .shape = tensor.shape, .bytes = [file, tensor] {
            return file->Bytes(tensor);
          }};
}

NativeStates ReadTorchStates(const std::string& path, std::int64_t block_group_size) {
  const auto file = std::make_shared<const TorchFile>(path);
  const NumberedNames names = NumberNames(file->root().Find(kGroups), path);
  const PickleValue* const states = file->root().Find(kStates);
  if (states == nullptr || states->kind != Kind::kDict) FailInStates(path, "no dict \"state\"");
  NativeStates read = {.states = {}, .file = file};
  for (std::size_t i = 0; i < states->items.size(); i += 2) {
    const PickleValue& key = *states->items[i];
    const PickleValue& state = *states->items[i + 1];
    if (key.kind != Kind::kText && key.kind != Kind::kInteger) FailInStates(path, "a state without a name");
    const std::string name =
        ToOlmoName(key.kind == Kind::kText ? key.text : NameOf(key.integer, names, path), block_group_size);
    if (state.kind != Kind::kDict) FailInStates(path, fmt::format("the state of {}: no dict", Quoted(name)));
    const auto [added, is_new] = read.states.emplace(name, ParameterState());
    if (!is_new) FailInStates(path, fmt::format("two states of {}", Quoted(name)));
    for (std::size_t j = 0; j < state.items.size(); j += 2) {
      const PickleValue& value = *state.items[j + 1];
      const std::string& value_key = state.items[j]->text;
      added->second[value_key] = {.number = NumberOf(value),
                                  .tensor = [file, &value, place = fmt::format("{}.{}", name, value_key)] {
                                    return TensorOf(file, value, place);
                                  }};
    }
  }
  return read;
}

/// A value that a safetensors file holds as the bytes of its pickle.
Pickle PickleOf(const SafetensorsReader& file, const TensorInfo& info, std::string_view what) {
  return {file.Bytes(info.name), fmt::format("{}: {}", file.path(), what), {}};
}

StateValue ValueOf(const std::shared_ptr<const SafetensorsReader>& file, const TensorInfo& info, bool is_pickled,
                   const std::string& name) {
  if (is_pickled) {
    const std::optional<double> number = NumberOf(PickleOf(*file, info, Quoted(name)).root());
    return {.number = number, .tensor = [file, name]() -> NativeStateTensor {
              throw IoError(fmt::format("{}: {}: no tensor", file->path(), Quoted(name)));
            }};
  }
  return {.number = std::nullopt, .tensor = [file, &info]() -> NativeStateTensor {
            return {.type = ParseSafetensorsName(info.dtype),
                    .type_text = info.dtype,
                    .shape = info.shape,
                    .bytes = [file, &info] { return file->Bytes(info.name); }};
          }};
}

NativeStates ReadSafetensorsStates(const std::string& path, std::int64_t block_group_size) {
  const auto file = std::make_shared<const SafetensorsReader>(path);
  std::optional<NumberedNames> names;
  const auto name_of = [&](std::int64_t number) {
    if (!names) {
      names.emplace();
      for (const TensorInfo& info : file->tensors()) {
        const SafetensorsKey key = ParseSafetensorsKey(info.name, path);
        if (!key.is_pickled || key.path != std::vector<SafetensorsKey::Step>{kGroups}) continue;
        names = NumberNames(&PickleOf(*file, info, kGroups).root(), path);
      }
    }
    return NameOf(number, *names, path);
  };
  NativeStates read = {.states = {}, .file = file};
  for (const TensorInfo& info : file->tensors()) {
    const SafetensorsKey key = ParseSafetensorsKey(info.name, path);
    if (key.path.front() != SafetensorsKey::Step(kStates)) continue;
    const std::string* const value_key = key.path.size() == 3 ? std::get_if<std::string>(&key.path[2]) : nullptr;
    if (value_key == nullptr) {
      FailInStates(path, fmt::format("key {}: expected state, a parameter, and a name", Quoted(info.name)));
    }
    const std::int64_t* const number = std::get_if<std::int64_t>(&key.path[1]);
    const std::string name =
        ToOlmoName(number != nullptr ? name_of(*number) : std::get<std::string>(key.path[1]), block_group_size);
    StateValue value = ValueOf(file, info, key.is_pickled, fmt::format("{}.{}", name, *value_key));
    if (!read.states[name].emplace(*value_key, std::move(value)).second) {
      FailInStates(path, fmt::format("two states of {}", Quoted(name)));
    }
  }
  if (read.states.empty()) FailInStates(path, "no state of any parameter");
  return read;
}

}  // namespace

void FailInStates(const std::string& path, const std::string& what) {
  throw IoError(fmt::format("{}: {} (--weights_only converts without it)", path, what));
}

NativeStates ReadNativeStates(const std::string& path, std::int64_t block_group_size) {
  return path.ends_with(".safetensors") ? ReadSafetensorsStates(path, block_group_size)
                                        : ReadTorchStates(path, block_group_size);
}

}  // namespace coat
