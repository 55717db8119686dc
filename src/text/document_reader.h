#pragma once
// The documents of text files.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "text/input_file.h"
#include "text/text_lines.h"

namespace coat {

/// A document, or the next piece of one.
struct TextPiece {
  std::string text;
  bool ends_document = true;
};

/// Throws UsageError for a name that ends in .npy, in letters of any case.
void RequireNoTokenFile(const std::string& path);

/// Reads the documents of one file. A file whose name ends in .jsonl, .ndjson or .json, before which .gz or .zst are
/// taken off, in letters of any case, has one JSON object a line, and the string in "text" is a document; blank lines
/// are passed over. Any other file is one document.
class DocumentReader {
 public:
  /// `in_pieces`: a file that is one document comes in pieces of a few hundred kilobytes, of any bytes. Otherwise it
  /// comes whole and must be UTF-8. Lines of JSON always come whole. Throws IoError as InputFile does.
  DocumentReader(std::string path, bool in_pieces);
  DocumentReader(const DocumentReader&) = delete;
  DocumentReader& operator=(const DocumentReader&) = delete;

  /// The next piece; false at the end. Throws IoError naming file and line (or byte) for what is damaged, not as
  /// expected, or longer than can be held: 1 GiB.
  bool Next(TextPiece& piece);
  std::int64_t consumed_bytes() const { return input_.consumed_bytes(); }

 private:
  bool NextLine(TextPiece& piece);
  bool NextPiece(TextPiece& piece);
  bool WholeFile(TextPiece& piece);
  /// Appends what is read next to buffer_; false at the end.
  bool ReadMore();

  InputFile input_;
  LineReader lines_;  // of input_, if it is of JSON lines
  bool is_json_lines_;
  bool in_pieces_;
  bool has_ended_ = false;
  std::vector<std::byte> chunk_;
  std::string buffer_;
};

}  // namespace coat
