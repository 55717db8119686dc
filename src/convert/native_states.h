#pragma once
// What OLMo's files hold of an optimizer: values by parameter and key, in the one or the other kind of file.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convert/float_type.h"

namespace coat {

/// A tensor of such a file: row-major, at no particular alignment.
struct NativeStateTensor {
  std::optional<FloatType> type;  // nothing for a type that no model has
  std::string type_text;          // as the file calls it
  std::vector<std::int64_t> shape;
  std::function<std::span<const std::byte>()> bytes;
};

/// A value of a state: a plain number, or something else.
struct StateValue {
  std::optional<double> number;
  std::function<NativeStateTensor()> tensor;  // if there is no number; throws IoError for what is no tensor
};

/// The values of a parameter by their keys: "step", "exp_avg".
using ParameterState = std::map<std::string, StateValue>;

struct NativeStates {
  std::map<std::string, ParameterState> states;  // by our names of the parameters
  std::shared_ptr<const void> file;              // keeps what the values refer to
};

/// The states in `path`, an optim.pt or an optim.safetensors, by its name. They are known by names, or by numbers that
/// the parameter groups name (param_names). The blocks of its names lie in groups of `block_group_size`.
///
/// Throws IoError for damaged files, two states of one parameter and a state without a name.
NativeStates ReadNativeStates(const std::string& path, std::int64_t block_group_size);

/// Throws IoError with `path`, `what`, and how to do without the file.
[[noreturn]] void FailInStates(const std::string& path, const std::string& what);

}  // namespace coat
