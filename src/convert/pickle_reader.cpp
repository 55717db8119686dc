#include "convert/pickle_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "base/error.h"
#include "checkpoint/quoted.h"
#include "convert/pickle_opcodes.h"

namespace coat {

namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr std::size_t kMostValues = std::size_t{1} << 22;

}  // namespace

bool PickleValue::IsCallOf(std::string_view global) const {
  return kind == Kind::kCall && items[0]->text == global;
}

const PickleValue* PickleValue::Find(std::string_view key) const {
  if (kind != Kind::kDict) return nullptr;
  for (std::size_t i = items.size(); i >= 2; i -= 2) {
    if (items[i - 2]->kind == Kind::kText && items[i - 2]->text == key) return items[i - 1];
  }
  return nullptr;
}

/// The stack machine that a pickle is a program for.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, std::string place, std::span<const std::string_view> allowed_globals,
                Pickle& pickle)
      : bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        place_(std::move(place)),
        allowed_(allowed_globals),
        pickle_(pickle) {}

  const PickleValue* Run() {
    if (bytes_.size() > kMostBytes) Fail(fmt::format("{} bytes; accepted: at most {}", bytes_.size(), kMostBytes));
    for (;;) {
      start_ = at_;
      const auto opcode = static_cast<unsigned char>(Take(1)[0]);
      if (opcode == pickle_op::kStop) return Pop();
      if (!Literal(opcode) && !Container(opcode) && !Memo(opcode) && !Object(opcode)) {
        Fail(fmt::format("the opcode {}, which no pickle of tensors has", opcode));
      }
    }
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw IoError(fmt::format("{}: byte {}: {}", place_, start_, what));
  }

  // Bytes.

  std::string_view Take(std::uint64_t count) {
    if (count > bytes_.size() - at_) Fail(fmt::format("{} bytes expected, {} left", count, bytes_.size() - at_));
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }

  std::uint64_t Number(std::size_t size) {
    std::uint64_t number = 0;
    const std::string_view bytes = Take(size);
    for (std::size_t i = 0; i < size; ++i) number |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return number;
  }

  /// Two's complement, of at most 8 bytes.
  std::int64_t SignedNumber(std::size_t size) {
    if (size == 0) return 0;
    if (size > 8) Fail(fmt::format("an integer of {} bytes; accepted: at most 8", size));
    const auto shift = static_cast<int>(8 * (8 - size));
    return static_cast<std::int64_t>(Number(size) << shift) >> shift;
  }

  std::string_view Line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) Fail("a line without end");
    const std::string_view line = Take(end - at_);
    Take(1);
    return line;
  }

  // The stack.

  PickleValue& New(Kind kind) {
    if (pickle_.values_.size() == kMostValues) Fail(fmt::format("more than {} values", kMostValues));
    PickleValue& value = pickle_.values_.emplace_back();
    value.kind = kind;
    return value;
  }
  PickleValue& PushNew(Kind kind) {
    PickleValue& value = New(kind);
    stack_.push_back(&value);
    return value;
  }
  void PushInteger(std::int64_t integer) { PushNew(Kind::kInteger).integer = integer; }
  void PushText(Kind kind, std::string_view text) { PushNew(kind).text = text; }

  PickleValue* Pop() {
    const std::size_t bottom = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() == bottom) Fail("a value expected, none there");
    PickleValue* const value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue& Top(Kind kind, std::string_view expected) {
    const std::size_t bottom = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() == bottom || stack_.back()->kind != kind) Fail(fmt::format("{} expected", expected));
    return *stack_.back();
  }
  /// What lies above the last mark, in order; the mark goes too.
  std::vector<PickleValue*> PopToMark() {
    if (marks_.empty()) Fail("a mark expected, none there");
    std::vector<PickleValue*> values(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return values;
  }

  // Groups of opcodes. Each returns false for one that is not of its group.

  bool Literal(unsigned char opcode) {
    switch (opcode) {
      case pickle_op::kNone:
        PushNew(Kind::kNone);
        return true;
      case pickle_op::kTrue:
      case pickle_op::kFalse:
        PushNew(Kind::kBool).integer = opcode == pickle_op::kTrue;
        return true;
      case pickle_op::kInteger1:
        PushInteger(static_cast<std::int64_t>(Number(1)));
        return true;
      case pickle_op::kInteger2:
        PushInteger(static_cast<std::int64_t>(Number(2)));
        return true;
      case pickle_op::kInteger4:
        PushInteger(SignedNumber(4));
        return true;
      case pickle_op::kLong1:
        PushInteger(SignedNumber(static_cast<std::size_t>(Number(1))));
        return true;
      case pickle_op::kFloat: {
        const std::uint64_t big_endian = Number(8);
        std::uint64_t bits = 0;
        for (int i = 0; i < 8; ++i) bits = bits << 8 | (big_endian >> (8 * i) & 0xff);
        PushNew(Kind::kFloat).number = std::bit_cast<double>(bits);
        return true;
      }
      case pickle_op::kText1:
        PushText(Kind::kText, Take(Number(1)));
        return true;
      case pickle_op::kText4:
        PushText(Kind::kText, Take(Number(4)));
        return true;
      case pickle_op::kBytes1:
        PushText(Kind::kBytes, Take(Number(1)));
        return true;
      case pickle_op::kBytes4:
        PushText(Kind::kBytes, Take(Number(4)));
        return true;
      default:
        return false;
    }
  }

  bool Container(unsigned char opcode) {
    switch (opcode) {
      case pickle_op::kMark:
        marks_.push_back(stack_.size());
        return true;
      case pickle_op::kEmptyTuple:
        PushNew(Kind::kTuple);
        return true;
      case pickle_op::kTuple1:
      case pickle_op::kTuple2:
      case pickle_op::kTuple3:
        PushTupleOf(static_cast<std::size_t>(opcode - pickle_op::kTuple1) + 1);
        return true;
      case pickle_op::kTuple: {
        const std::vector<PickleValue*> values = PopToMark();
        PushNew(Kind::kTuple).items.assign(values.begin(), values.end());
        return true;
      }
      case pickle_op::kEmptyList:
        PushNew(Kind::kList);
        return true;
      case pickle_op::kAppend: {
        const PickleValue* const value = Pop();
        Top(Kind::kList, "a list").items.push_back(value);
        return true;
      }
      case pickle_op::kAppends: {
        const std::vector<PickleValue*> values = PopToMark();
        PickleValue& list = Top(Kind::kList, "a list");
        list.items.insert(list.items.end(), values.begin(), values.end());
        return true;
      }
      case pickle_op::kEmptyDict:
        PushNew(Kind::kDict);
        return true;
      case pickle_op::kSetItem: {
        const PickleValue* const value = Pop();
        const PickleValue* const key = Pop();
        PickleValue& dict = Top(Kind::kDict, "a dict");
        dict.items.push_back(key);
        dict.items.push_back(value);
        return true;
      }
      case pickle_op::kSetItems: {
        const std::vector<PickleValue*> values = PopToMark();
        PickleValue& dict = Top(Kind::kDict, "a dict");
        if (values.size() % 2 != 0) Fail("a key without a value");
        dict.items.insert(dict.items.end(), values.begin(), values.end());
        return true;
      }
      default:
        return false;
    }
  }

  void PushTupleOf(std::size_t count) {
    std::vector<const PickleValue*> items(count);
    for (std::size_t i = count; i > 0; --i) items[i - 1] = Pop();
    PushNew(Kind::kTuple).items = std::move(items);
  }

  bool Memo(unsigned char opcode) {
    switch (opcode) {
      case pickle_op::kPut1:
        Remember(Number(1));
        return true;
      case pickle_op::kPut4:
        Remember(Number(4));
        return true;
      case pickle_op::kMemoize:
        Remember(memo_.size());
        return true;
      case pickle_op::kGet1:
        PushRemembered(Number(1));
        return true;
      case pickle_op::kGet4:
        PushRemembered(Number(4));
        return true;
      default:
        return false;
    }
  }

  void Remember(std::uint64_t number) {
    PickleValue* const value = Pop();
    stack_.push_back(value);
    memo_[number] = value;
    if (memo_.size() > kMostValues) Fail(fmt::format("more than {} values", kMostValues));
  }

  void PushRemembered(std::uint64_t number) {
    const auto found = memo_.find(number);
    if (found == memo_.end()) Fail(fmt::format("nothing was remembered as {}", number));
    stack_.push_back(found->second);
  }

  bool Object(unsigned char opcode) {
    switch (opcode) {
      case pickle_op::kProtocol:
        if (const std::uint64_t protocol = Number(1); protocol < 2 || protocol > 5) {
          Fail(fmt::format("protocol {}; accepted: 2 to 5", protocol));
        }
        return true;
      case pickle_op::kFrame:
        Number(8);
        return true;
      case pickle_op::kGlobal: {
        const std::string_view module = Line();
        PushGlobal(module, Line());
        return true;
      }
      case pickle_op::kStackGlobal: {
        const PickleValue* const name = Pop();
        const PickleValue* const module = Pop();
        if (name->kind != Kind::kText || module->kind != Kind::kText) Fail("a module and a name expected");
        PushGlobal(module->text, name->text);
        return true;
      }
      case pickle_op::kReduce: {
        const PickleValue* const arguments = Pop();
        const PickleValue* const function = Pop();
        if (function->kind != Kind::kGlobal || arguments->kind != Kind::kTuple) Fail("a call of a global expected");
        PushCall(function, arguments);
        return true;
      }
      case pickle_op::kBuild: {
        Pop();
        PickleValue* const object = Pop();
        if (object->kind != Kind::kDict && object->kind != Kind::kCall) Fail("an object to have attributes expected");
        stack_.push_back(object);
        return true;
      }
      case pickle_op::kPersistent: {
        const PickleValue* const id = Pop();
        PushNew(Kind::kPersistent).items = {id};
        return true;
      }
      default:
        return false;
    }
  }

  void PushGlobal(std::string_view module, std::string_view name) {
    const std::string global = fmt::format("{}.{}", module, name);
    if (std::ranges::find(allowed_, global) == allowed_.end()) {
      Fail(fmt::format("it asks for {}, which is not run; accepted: {}", Quoted(global), Accepted()));
    }
    PushNew(Kind::kGlobal).text = global;
  }

  std::string Accepted() const {
    if (allowed_.empty()) return "no global";
    std::string text(allowed_.front());
    for (const std::string_view global : allowed_.subspan(1)) text.append(", ").append(global);
    return text;
  }

  void PushCall(const PickleValue* function, const PickleValue* arguments) {
    if (function->text == kOrderedDict) {
      if (!arguments->items.empty()) Fail("an OrderedDict made of something; accepted: of nothing");
      PushNew(Kind::kDict);
      return;
    }
    PushNew(Kind::kCall).items = {function, arguments};
  }

  std::string_view bytes_;
  std::string place_;
  std::span<const std::string_view> allowed_;
  Pickle& pickle_;
  std::size_t start_ = 0;  // of the opcode
  std::size_t at_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<std::uint64_t, PickleValue*> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes, std::string place, std::span<const std::string_view> allowed_globals) {
  root_ = PickleMachine(bytes, std::move(place), allowed_globals, *this).Run();
}

}  // namespace coat
