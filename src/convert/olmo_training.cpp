#include "convert/olmo_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <variant>

#include "base/error.h"
#include "checkpoint/quoted.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_info.h"
#include "convert/native_states.h"
#include "convert/safetensors_key.h"
#include "convert/torch_file.h"

namespace coat {

namespace {

using Kind = PickleValue::Kind;

/// What train.pt holds besides tensors: paths, and states of random numbers in NumPy's arrays. All are passed over.
constexpr auto kOfTrainer = std::to_array<std::string_view>(
    {"pathlib.PosixPath", "pathlib._local.PosixPath", "_codecs.encode", "numpy.ndarray", "numpy.dtype",
     "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.core.multiarray.scalar",
     "numpy._core.multiarray.scalar"});

constexpr std::string_view kStep = "global_step";
constexpr std::string_view kEpoch = "epoch";
constexpr std::string_view kExamples = "global_train_examples_seen_this_epoch";
constexpr std::string_view kTokens = "global_train_tokens_seen";
constexpr std::array kCounts = {kStep, kEpoch, kExamples, kTokens};

/// Those of kCounts that are integers in a train.pt.
std::map<std::string, std::int64_t> TorchCounts(const std::string& path) {
  const TorchFile file(path, kOfTrainer);
  std::map<std::string, std::int64_t> counts;
  for (const std::string_view key : kCounts) {
    const PickleValue* const value = file.root().Find(key);
    if (value != nullptr && value->kind == Kind::kInteger) counts.emplace(key, value->integer);
  }
  return counts;
}

/// The same of a train.safetensors, where each is the bytes of its pickle.
std::map<std::string, std::int64_t> SafetensorsCounts(const std::string& path) {
  const SafetensorsReader file(path);
  std::map<std::string, std::int64_t> counts;
  for (const TensorInfo& info : file.tensors()) {
    const SafetensorsKey key = ParseSafetensorsKey(info.name, path);
    const std::string* const name = key.path.size() == 1 ? std::get_if<std::string>(&key.path[0]) : nullptr;
    if (!key.is_pickled || name == nullptr || std::ranges::find(kCounts, *name) == kCounts.end()) continue;
    const Pickle value(file.Bytes(info.name), fmt::format("{}: {}", path, *name), {});
    if (value.root().kind == Kind::kInteger) counts.emplace(*name, value.root().integer);
  }
  return counts;
}

class OptimizerFile {
 public:
  OptimizerFile(const std::string& path, std::int64_t block_group_size)
      : path_(path), read_(ReadNativeStates(path, block_group_size)) {}

  OptimizerState Read(const Model& model) {
    OptimizerState optimizer;
    optimizer.files = read_.file;
    std::map<std::string, ParameterState>& states = read_.states;
    for (const ModelTensor& parameter : model.tensors) {
      const auto found = states.find(parameter.name);
      if (found == states.end()) Fail(fmt::format("no state of {}", Quoted(parameter.name)));
      AddState(parameter, found->second, optimizer);
      states.erase(found);
    }
    if (!states.empty()) Fail(fmt::format("a state of {}, which is no parameter", Quoted(states.begin()->first)));
    return optimizer;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const { FailInStates(path_, what); }

  void AddState(const ModelTensor& parameter, const ParameterState& state, OptimizerState& optimizer) const {
    const auto fail = [&](const std::string& what) {
      Fail(fmt::format("the state of {}: {}", Quoted(parameter.name), what));
    };
    float norm = 0.0f;
    std::optional<std::int64_t> step;
    std::set<std::string> moments;
    for (const auto& [key, value] : state) {
      if (key == "step") {
        const double number = Number(value, parameter.name);
        if (!(number >= 0.0 && number <= 0x1p53) || number != std::floor(number)) fail(fmt::format("step {}", number));
        step = static_cast<std::int64_t>(number);
      } else if (key == "grad_norm_exp_avg") {
        norm = static_cast<float>(Number(value, parameter.name));
      } else if (key == "exp_avg" || key == "exp_avg_sq") {
        optimizer.moments.push_back(Moment(parameter, key, value));
        moments.insert(key);
      } else {
        fail(fmt::format("found {}; accepted: step, exp_avg, exp_avg_sq, grad_norm_exp_avg", Quoted(key)));
      }
    }
    if (moments.empty()) fail("no exp_avg");
    if (moments.size() * (optimizer.gradient_norms.size() + 1) != optimizer.moments.size()) {
      fail("other moments than those of the parameters before it");
    }
    if (!step && moments.contains("exp_avg_sq")) fail("no step");
    const std::int64_t updates = step.value_or(0);  // LionW keeps none, and has no use for it
    if (optimizer.gradient_norms.empty()) optimizer.updates = updates;
    if (updates != optimizer.updates) fail(fmt::format("step {}; that of others is {}", updates, optimizer.updates));
    optimizer.gradient_norms.push_back(norm);
  }

  ModelTensor Moment(const ModelTensor& parameter, const std::string& key, const StateValue& value) const {
    const std::string name = fmt::format("{}.{}", parameter.name, key);
    const NativeStateTensor tensor = value.tensor();
    if (tensor.type != FloatType::kFloat32 || tensor.shape != parameter.shape) {
      Fail(fmt::format("{} is {} {}; expected float32 {}", Quoted(name),
                       tensor.type ? TorchName(*tensor.type) : tensor.type_text, ShapeText(tensor.shape),
                       ShapeText(parameter.shape)));
    }
    return {.name = name,
            .shape = parameter.shape,
            .pieces = {{.type = FloatType::kFloat32,
                        .elements = parameter.elements(),
                        .place = fmt::format("{}: {}", path_, Quoted(name)),
                        .bytes = tensor.bytes}}};
  }

  /// A number, or a float32 tensor of one.
  double Number(const StateValue& value, const std::string& name) const {
    if (value.number) return *value.number;
    const NativeStateTensor tensor = value.tensor();
    float number = 0.0f;
    if (tensor.type != FloatType::kFloat32 || TensorBytes(tensor.shape, sizeof number) != sizeof number) {
      Fail(fmt::format("the state of {}: a number that is no float32", Quoted(name)));
    }
    std::memcpy(&number, tensor.bytes().data(), sizeof number);
    return number;
  }

  std::string path_;
  NativeStates read_;
};

}  // namespace

OptimizerState ReadOlmoOptimizer(const std::string& path, const Model& model, std::int64_t block_group_size) {
  return OptimizerFile(path, block_group_size).Read(model);
}

TrainerState ReadOlmoTrainer(const std::string& path, std::int64_t sequence_length) {
  const std::map<std::string, std::int64_t> found =
      path.ends_with(".safetensors") ? SafetensorsCounts(path) : TorchCounts(path);
  const auto count = [&](std::string_view key) {
    const auto value = found.find(std::string(key));
    if (value == found.end() || value->second < 0) {
      throw IoError(fmt::format("{}: {}: expected an integer that is not negative (--weights_only converts without it)",
                                path, key));
    }
    return value->second;
  };
  TrainerState state;
  state.step = count(kStep);
  state.epoch = count(kEpoch);
  state.examples_seen_this_epoch = count(kExamples);
  state.tokens_seen = count(kTokens);
  state.examples_seen = state.tokens_seen / sequence_length;
  return state;
}

}  // namespace coat
