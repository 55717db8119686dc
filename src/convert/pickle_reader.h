#pragma once
// Python pickles read as data: nothing that one says is ever executed or looked up.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coat {

/// A value of a pickle.
struct PickleValue {
  enum class Kind { kNone, kBool, kInteger, kFloat, kText, kBytes, kTuple, kList, kDict, kGlobal, kCall, kPersistent };
  Kind kind = Kind::kNone;
  std::int64_t integer = 0;  // kBool: 0 or 1
  double number = 0.0;
  std::string text;  // kText; kBytes; kGlobal: "torch.FloatStorage"
  /// kTuple, kList: the items. kDict: keys and values by turns. kCall: a global and a tuple of arguments, which is what
  /// the object would be made with. kPersistent: the one value that stands for something outside the pickle.
  std::vector<const PickleValue*> items;

  bool IsCallOf(std::string_view global) const;
  /// The value of a text key of a dict; null if there is none.
  const PickleValue* Find(std::string_view key) const;
};

/// One pickle of protocol 2 to 5, of those that tensors in dicts and lists make.
///
/// Only the globals that are allowed may occur, as names: a call of one is a value (kCall). An OrderedDict is a kDict.
/// Attributes of objects are passed over. Lists and dicts may hold themselves. Memory stays within a small multiple of
/// the pickle's own size, whatever it says; a pickle beyond 64 MiB or 4 million values is refused, as is everything
/// else that no pickle of tensors has. Every fault is an IoError that names `place`, the offset and what is accepted.
class Pickle {
 public:
  Pickle(std::span<const std::byte> bytes, std::string place, std::span<const std::string_view> allowed_globals);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const PickleValue& root() const { return *root_; }

 private:
  friend class PickleMachine;
  std::deque<PickleValue> values_;  // all of them, wherever they are used
  const PickleValue* root_ = nullptr;
};

}  // namespace coat
