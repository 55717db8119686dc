#pragma once
// The Python library `tokenizers`, in a process of its own.

#include <string>
#include <vector>

#include "base/child_process.h"
#include "base/error.h"
#include "text/tokenizer.h"

namespace coat {

/// A tokenizer.json as the library reads it: see OpenTokenizer. text/library_tokenizer.py is the other end of the
/// pipes, and lies in this program as text.
class LibraryTokenizer final : public Tokenizer {
 public:
  explicit LibraryTokenizer(const std::string& path);

  std::vector<TokenIds> EncodeBatch(std::span<const std::string> texts) override;

 private:
  /// The vocabulary of the program's description of it, which is JSON, or what it says instead, thrown.
  Vocabulary VocabularyOf(const std::string& text) const;
  UsageError NoInterpreter() const;
  std::uint64_t ReadNumber();
  void ReadAll(std::span<std::byte> bytes);
  [[noreturn]] void ThrowEnded();

  std::string interpreter_;
  ChildProcess process_;
};

}  // namespace coat
