#include "checkpoint/part_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "checkpoint/file_record.h"
#include "checkpoint/quoted.h"

namespace coat {

namespace {

using nlohmann::ordered_json;

constexpr int kMostDepth = 6;  // what the reader's own recursion may meet
constexpr const char* kFiles = "files";
constexpr const char* kTensors = "tensors";

/// "model" of "model.safetensors".
std::string_view StemOf(std::string_view file) {
  constexpr std::string_view kSuffix = ".safetensors";
  COAT_REQUIRE(file.ends_with(kSuffix), "{} is no name of a safetensors file", Quoted(file));
  return file.substr(0, file.size() - kSuffix.size());
}

class IndexReader {
 public:
  explicit IndexReader(const std::string& path) : path_(path) {}

  PartIndex Read(std::string_view text) {
    ordered_json found;
    try {
      found = ordered_json::parse(text.begin(), text.end(), [&](int depth, ordered_json::parse_event_t, ordered_json&) {
        if (depth > kMostDepth) Fail(fmt::format("nested more than {} deep", kMostDepth));
        return true;
      });
    } catch (const ordered_json::parse_error& error) {
      Fail(fmt::format("no valid JSON at byte {} of {}", std::min(error.byte, text.size()), text.size()));
    } catch (const ordered_json::out_of_range&) {
      Fail("holds a number beyond double precision's range");
    }
    RequireKeys(found, "the index", {kFiles, kTensors});
    ReadFiles(found[kFiles]);
    if (!found[kTensors].is_array()) Fail("tensors: expected a list");
    for (const ordered_json& tensor : found[kTensors]) ReadTensor(tensor);
    return std::move(index_);
  }

 private:
  [[noreturn]] void Fail(const std::string& problem) const { throw IoError(fmt::format("{}: {}", path_, problem)); }

  void RequireKeys(const ordered_json& object, const std::string& what, std::initializer_list<const char*> keys) const {
    bool fits = object.is_object() && object.size() == keys.size();
    std::string list;
    for (const char* const key : keys) {
      fits = fits && object.contains(key);
      list += fmt::format("{}{}", list.empty() ? "" : ", ", key);
    }
    if (!fits) Fail(fmt::format("{}: expected an object of {}", what, list));
  }

  std::string TextOf(const ordered_json& found, const std::string& what) const {
    if (!found.is_string()) Fail(fmt::format("{} is {}; expected a text", what, Quoted(found.dump())));
    return found;
  }

  std::int64_t NumberOf(const ordered_json& found, const std::string& what) const {
    const auto* const number = found.get_ptr<const ordered_json::number_unsigned_t*>();
    if (number == nullptr || *number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      Fail(fmt::format("{} is {}; expected an integer from 0 to 2^63 - 1", what, Quoted(found.dump())));
    }
    return static_cast<std::int64_t>(*number);
  }

  void ReadFiles(const ordered_json& found) {
    if (!found.is_array()) Fail("files: expected a list");
    std::set<std::string> names;
    for (const ordered_json& entry : found) {
      const std::string what = fmt::format("files[{}]", index_.files.size());
      const std::string name = TextOf(entry, what);
      if (!IsPlainFileName(name)) {
        Fail(fmt::format("{} is {}; expected the name of a file in the same folder", what, Quoted(name)));
      }
      if (!names.insert(name).second) Fail(fmt::format("{} is {}, which comes twice", what, Quoted(name)));
      index_.files.push_back(name);
    }
    last_tensor_.resize(index_.files.size());
  }

  void ReadTensor(const ordered_json& found) {
    RequireKeys(found, fmt::format("tensors[{}]", index_.tensors.size()), {"name", "dtype", "shape", "parts"});
    PartedTensor tensor;
    TensorInfo& whole = tensor.whole;
    whole.name = TextOf(found["name"], fmt::format("tensors[{}].name", index_.tensors.size()));
    const std::string what = fmt::format("tensor {}", Quoted(whole.name));
    if (!names_.insert(whole.name).second) Fail(what + " comes twice");
    whole.dtype = TextOf(found["dtype"], what + ": dtype");
    const std::optional<std::uint64_t> element_bytes = ElementBytes(whole.dtype);
    if (!element_bytes) {
      Fail(fmt::format("{}: unknown dtype {}; expected one of {}", what, Quoted(whole.dtype), KnownDtypes()));
    }
    if (!found["shape"].is_array()) Fail(what + ": shape: expected a list");
    for (const ordered_json& size : found["shape"]) whole.shape.push_back(NumberOf(size, what + ": a size"));
    if (!TensorBytes(whole.shape, *element_bytes)) {
      Fail(fmt::format("{}: shape {} has more than 2^63 - 1 bytes", what, ShapeText(whole.shape)));
    }
    if (!found["parts"].is_array()) Fail(what + ": parts: expected a list");
    for (const ordered_json& part : found["parts"]) ReadPart(part, what, tensor);
    if (const std::int64_t end = EndOf(tensor), elements = ElementsOf(whole); end != elements) {
      Fail(fmt::format("{}: its elements from {} to {} are in no part", what, end, elements - 1));
    }
    index_.tensors.push_back(std::move(tensor));
  }

  static std::int64_t EndOf(const PartedTensor& tensor) {
    return tensor.parts.empty() ? 0 : tensor.parts.back().part.end();
  }

  void ReadPart(const ordered_json& found, const std::string& what, PartedTensor& tensor) {
    if (!found.is_array() || found.size() != 3) Fail(what + ": parts: expected lists of file, first and count");
    const std::int64_t file = NumberOf(found[0], what + ": a part's file");
    const Part part = {.first = NumberOf(found[1], what + ": a part's first element"),
                       .count = NumberOf(found[2], what + ": a part's count of elements")};
    if (file >= static_cast<std::int64_t>(index_.files.size())) {
      Fail(fmt::format("{}: a part is in file {}; there are {}", what, file, index_.files.size()));
    }
    const auto at = static_cast<std::size_t>(file);
    if (last_tensor_[at] == index_.tensors.size() + 1) {
      Fail(fmt::format("{}: two parts are in {}", what, Quoted(index_.files[at])));
    }
    last_tensor_[at] = index_.tensors.size() + 1;
    const std::int64_t end = EndOf(tensor);
    const std::int64_t elements = ElementsOf(tensor.whole);
    if (part.first > end) {
      Fail(fmt::format("{}: its elements from {} to {} are in no part", what, end, part.first - 1));
    }
    if (part.first < end) {
      Fail(fmt::format("{}: its element {} is in the parts of {} and of {}", what, part.first,
                       Quoted(index_.files[tensor.parts.back().file]), Quoted(index_.files[at])));
    }
    if (part.count == 0 || part.count > elements - part.first) {
      Fail(fmt::format("{}: a part has {} elements from {}; the tensor is {}", what, part.count, part.first,
                       ShapeText(tensor.whole.shape)));
    }
    tensor.parts.push_back({.file = at, .part = part});
  }

  const std::string& path_;
  PartIndex index_;
  std::set<std::string> names_;
  std::vector<std::size_t> last_tensor_;  // that had a part in each file: its number from 1, 0 for none yet
};

}  // namespace

std::string PartFileName(std::string_view file, int rank, int ranks) {
  return fmt::format("{}-{:05}-of-{:05}.safetensors", StemOf(file), rank + 1, ranks);
}

std::string IndexFileName(std::string_view file) {
  return fmt::format("{}.parts.json", StemOf(file));
}

std::int64_t ElementsOf(const TensorInfo& tensor) {
  std::int64_t elements = 1;
  for (const std::int64_t size : tensor.shape) elements *= size;
  return elements;
}

std::string FormatPartIndex(const PartIndex& index) {
  try {
    std::string text = fmt::format("{{\"{}\": {},\n\"{}\": [", kFiles, ordered_json(index.files).dump(), kTensors);
    for (std::size_t i = 0; i < index.tensors.size(); ++i) {
      const PartedTensor& tensor = index.tensors[i];
      ordered_json parts = ordered_json::array();
      for (const auto& [file, part] : tensor.parts)
        parts.push_back(ordered_json::array({file, part.first, part.count}));
      const ordered_json line = {{"name", tensor.whole.name},
                                 {"dtype", tensor.whole.dtype},
                                 {"shape", tensor.whole.shape},
                                 {"parts", std::move(parts)}};
      text += fmt::format("{}\n{}", i == 0 ? "" : ",", line.dump());
    }
    return text + "\n]}\n";
  } catch (const ordered_json::type_error&) {
    throw ArgumentError("FormatPartIndex: a tensor's name is not UTF-8");
  }
}

PartIndex ParsePartIndex(std::string_view text, const std::string& path) {
  return IndexReader(path).Read(text);
}

}  // namespace coat
