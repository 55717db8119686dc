#pragma once
// Text to token ids and back, for everything that needs it.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace coat {

using TokenIds = std::vector<std::int32_t>;

/// The bytes tokenizer: a document is its bytes, as ids 0 to 255, and then this id.
inline constexpr std::int32_t kBytesEndOfText = 256;
/// All ids of the bytes tokenizer: what `model.vocab_size` has to be at least.
inline constexpr std::int64_t kBytesVocabSize = 257;

/// A byte-level tokenizer: each id stands for some bytes. Not thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// "bytes", or the path of its file.
  const std::string& name() const { return name_; }
  /// All ids are below.
  std::int64_t vocab_size() const { return static_cast<std::int64_t>(bytes_.size()); }
  /// The id that ends a document, if the tokenizer says so: 256 of bytes, else that of "<|endoftext|>".
  std::optional<std::int32_t> end_of_text() const { return end_of_text_; }
  /// Whether the ids of a text are those of its pieces, wherever it is cut: true of bytes.
  bool takes_pieces() const { return takes_pieces_; }

  /// The ids of each text, in order, with nothing added before or after them.
  ///
  /// Special tokens that a text spells out, such as "<|endoftext|>", become their ids, as in the tokenizers library.
  /// All cores take part; memory is some hundred bytes a token of the batch. Throws IoError naming text and byte for
  /// text that is not UTF-8 (bytes takes anything), Error if the tokenizer's program ends.
  virtual std::vector<TokenIds> EncodeBatch(std::span<const std::string> texts) = 0;
  TokenIds Encode(const std::string& text);

  /// The bytes that the ids stand for, one after the other. They need not end with a whole character: Utf8Pieces
  /// (base/utf8.h) cuts a stream of them. Special tokens are their text, the end of bytes is nothing, and an id that
  /// the tokenizer has not is U+FFFD.
  std::string Decode(std::span<const std::int32_t> ids) const;

 protected:
  struct Vocabulary {
    std::vector<std::optional<std::string>> bytes;  // of each id; none: there is no such token
    std::optional<std::int32_t> end_of_text;
  };
  Tokenizer(std::string name, bool takes_pieces) : name_(std::move(name)), takes_pieces_(takes_pieces) {}
  void SetVocabulary(Vocabulary vocabulary);

 private:
  std::string name_;
  bool takes_pieces_;
  std::vector<std::optional<std::string>> bytes_;
  std::optional<std::int32_t> end_of_text_;
};

/// Opens a tokenizer: "bytes", or the path of a tokenizer.json with byte-level BPE, as OLMo's are. The latter runs the
/// Python library `tokenizers` in a process of its own, by the interpreter that COAT_PYTHON names or else python3.
///
/// Throws UsageError for a name that is neither, and where Python or the library is missing, with what to install;
/// IoError for a file that cannot be read or is no byte-level tokenizer.
std::unique_ptr<Tokenizer> OpenTokenizer(const std::string& identifier);

}  // namespace coat
