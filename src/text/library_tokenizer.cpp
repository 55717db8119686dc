#include "text/library_tokenizer.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/utf8.h"
#include "text/library_tokenizer_script.h"

namespace coat {

namespace {

/// More than any vocabulary takes.
constexpr std::uint64_t kMostDescriptionBytes = 1 << 30;

std::string Interpreter() {
  const char* const chosen = std::getenv("COAT_PYTHON");
  return chosen != nullptr && *chosen != '\0' ? chosen : "python3";
}

ChildProcess StartInterpreter(const std::string& interpreter, const std::string& path) {
  try {
    return ChildProcess({interpreter, "-c", kLibraryTokenizerScript, path});
  } catch (const IoError& error) {
    throw UsageError(
        fmt::format("{}; {} is read by Python's library tokenizers: install Python 3, or name its "
                    "interpreter in the environment variable COAT_PYTHON",
                    error.what(), path));
  }
}

std::string FromHexadecimal(const std::string& digits) {
  std::string bytes(digits.size() / 2, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(std::stoi(digits.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace

LibraryTokenizer::LibraryTokenizer(const std::string& path)
    : Tokenizer(path, /*takes_pieces=*/false),
      interpreter_(Interpreter()),
      process_(StartInterpreter(interpreter_, path)) {
  const std::uint64_t size = ReadNumber();
  if (size > kMostDescriptionBytes) throw NoInterpreter();
  std::string text(size, '\0');
  ReadAll(std::as_writable_bytes(std::span(text)));
  try {
    SetVocabulary(VocabularyOf(text));
  } catch (const nlohmann::json::exception&) {
    throw NoInterpreter();
  }
}

Tokenizer::Vocabulary LibraryTokenizer::VocabularyOf(const std::string& text) const {
  const nlohmann::json description = nlohmann::json::parse(text);
  if (description.contains("problem")) {
    const auto problem = description.at("problem").get<std::string>();
    if (!description.at("missing").get<bool>()) throw IoError(fmt::format("{}: is no tokenizer: {}", name(), problem));
    throw UsageError(
        fmt::format("{} is read by Python's library tokenizers, which {} has not ({}); the environment variable "
                    "COAT_PYTHON names an interpreter that has it: `{} -m venv ~/.venvs/coat && ~/.venvs/coat/bin/pip "
                    "install tokenizers`, then `export COAT_PYTHON=~/.venvs/coat/bin/python3`",
                    name(), interpreter_, problem, interpreter_));
  }
  Vocabulary vocabulary;
  for (const nlohmann::json& token : description.at("tokens")) {
    std::optional<std::string>& bytes = vocabulary.bytes.emplace_back();
    if (!token.is_null()) bytes = FromHexadecimal(token.get<std::string>());
  }
  const nlohmann::json& end_of_text = description.at("end_of_text");
  if (!end_of_text.is_null()) vocabulary.end_of_text = end_of_text.get<std::int32_t>();
  return vocabulary;
}

std::vector<TokenIds> LibraryTokenizer::EncodeBatch(std::span<const std::string> texts) {
  std::vector<std::uint64_t> numbers = {texts.size()};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::size_t end = FindInvalidUtf8(texts[i]);
    if (end != texts[i].size()) {
      throw IoError(fmt::format("text {} is not UTF-8 from byte {} on; {} takes UTF-8", i, end, name()));
    }
    numbers.push_back(texts[i].size());
  }
  bool written = process_.Write(std::as_bytes(std::span(numbers)));
  for (const std::string& text : texts) written = written && process_.Write(std::as_bytes(std::span(text)));
  if (!written) ThrowEnded();

  std::vector<std::uint64_t> counts(texts.size());
  ReadAll(std::as_writable_bytes(std::span(counts)));
  TokenIds ids(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  ReadAll(std::as_writable_bytes(std::span(ids)));
  std::vector<TokenIds> all;
  for (auto begin = ids.cbegin(); const std::uint64_t count : counts) {
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    all.emplace_back(begin, end);
    begin = end;
  }
  return all;
}

std::uint64_t LibraryTokenizer::ReadNumber() {
  std::uint64_t number = 0;
  ReadAll(std::as_writable_bytes(std::span(&number, 1)));
  return number;
}

void LibraryTokenizer::ReadAll(std::span<std::byte> bytes) {
  if (!process_.Read(bytes)) ThrowEnded();
}

UsageError LibraryTokenizer::NoInterpreter() const {
  return UsageError(fmt::format("{}, which COAT_PYTHON names, does not answer as a Python interpreter", interpreter_));
}

void LibraryTokenizer::ThrowEnded() {
  throw Error(fmt::format("{}: the tokenizer's program ({}) has ended with {}; what it printed says why", name(),
                          interpreter_, process_.WaitForEnd()));
}

}  // namespace coat
