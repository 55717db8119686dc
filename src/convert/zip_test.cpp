#include <gtest/gtest.h>

#include "base/error.h"
#include "convert/zip_reader.h"
#include "convert/zip_writer.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

using namespace std::string_literals;

std::string TextOf(const ZipReader& zip, const std::string& name) {
  const std::span<const std::byte> bytes = zip.Bytes(*zip.Find(name));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An archive of two small entries, to be spoiled.
class Zip : public testing::Test {
 protected:
  Zip() {
    ZipWriter zip(folder_.File("zip"));
    zip.Add("a/one", "first");
    zip.Add("a/two", "");
    zip.Add("a/three", "third");
    zip.Finish();
    bytes_ = folder_.Read("zip");
  }

  std::string Refused(const std::string& bytes) const {
    folder_.Write("bad", bytes);
    return ErrorOf<IoError>([&] {
      const ZipReader zip(folder_.File("bad"));
      for (const ZipEntry& entry : zip.entries()) zip.Bytes(entry);
    });
  }
  /// The place of the last occurrence of a signature.
  std::size_t Last(std::string_view signature) const { return bytes_.rfind(signature); }
  std::string With(std::size_t at, std::string_view replacement) const {
    std::string bytes = bytes_;
    return bytes.replace(at, replacement.size(), replacement);
  }

  TempDir folder_;
  std::string bytes_;
};

TEST_F(Zip, GivesBackWhatWasWritten) {
  const ZipReader zip(folder_.File("zip"));
  ASSERT_EQ(zip.entries().size(), 3u);
  EXPECT_EQ(TextOf(zip, "a/one"), "first");
  EXPECT_EQ(TextOf(zip, "a/two"), "");
  EXPECT_EQ(TextOf(zip, "a/three"), "third");
  EXPECT_EQ(zip.Find("a"), nullptr);
  for (const ZipEntry& entry : zip.entries()) EXPECT_EQ(entry.begin % 64, 0) << entry.name;
}

TEST_F(Zip, RefusesEveryTruncation) {
  for (std::size_t size = 0; size < bytes_.size(); ++size) EXPECT_NE(Refused(bytes_.substr(0, size)), "") << size;
}

TEST_F(Zip, RefusesOrReadsRightWhenAByteChanges) {
  for (std::size_t at = 0; at < bytes_.size(); ++at) {
    std::string bytes = bytes_;
    bytes[at] ^= at % 2 == 0 ? '\x01' : '\x80';
    folder_.Write("bad", bytes);
    try {
      const ZipReader zip(folder_.File("bad"));
      for (const ZipEntry& entry : zip.entries()) {
        const std::string text = TextOf(zip, entry.name);
        EXPECT_TRUE(text == "first" || text == "third" || text.empty() || entry.crc32 == 0) << at << text;
      }
    } catch (const IoError& error) {
      EXPECT_NE(std::string_view(error.what()).find("/bad: "), std::string_view::npos) << error.what();
    }
  }
}

TEST_F(Zip, SaysWhatIsWrong) {
  const std::size_t entry = Last("PK\x01\x02");
  const std::size_t locator = Last("PK\x06\x07");
  const std::size_t end64 = Last("PK\x06\x06");
  EXPECT_NE(Refused("not an archive, but long enough for its end").find("no zip archive"), std::string::npos);
  EXPECT_NE(Refused(With(entry + 10, "\x08\x00"s)).find("\"a/three\" is compressed"), std::string::npos);
  EXPECT_NE(Refused(With(entry + 8, "\x01\x00"s)).find("\"a/three\" is encrypted"), std::string::npos);
  EXPECT_NE(Refused(With(entry + 16, "abcd")).find("\"a/three\" is damaged"), std::string::npos);
  EXPECT_NE(Refused(With(entry + 46, "a/THREE")).find("another name in its header"), std::string::npos);
  EXPECT_NE(Refused(With(entry + 28, "\xff\xff")).find("is cut off"), std::string::npos);
  // The zip64 field: plain size, stored size, place of the header.
  const std::size_t field = entry + 46 + 7 + 4;
  EXPECT_NE(Refused(With(field, "\x06"s)).find("has 6 bytes, stored as 5"), std::string::npos);
  EXPECT_NE(
      Refused(With(field, "\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x80"s)).find("in a file of"),
      std::string::npos);
  EXPECT_NE(Refused(With(field, "\xff\x00\x00\x00\x00\x00\x00\x00\xff"s)).find("goes beyond"), std::string::npos);
  EXPECT_NE(Refused(With(field + 16, "\xff\xff\xff\xff\xff\xff\xff\xff"s)).find("begins at 18446744073709551615"),
            std::string::npos);
  EXPECT_NE(Refused(With(field + 16, "\x00\x00"s)).find("another name in its header"), std::string::npos);
  EXPECT_NE(Refused(With(field - 4, "\x02\x00"s)).find("lacks its zip64 sizes"), std::string::npos);
  EXPECT_NE(Refused(With(locator + 8, "\xff\xff\xff\xff\xff\xff\xff\xff"s)).find("outside the file"),
            std::string::npos);
  EXPECT_NE(Refused(With(locator + 8, "\x00"s)).find("not where it should be"), std::string::npos);
  EXPECT_NE(Refused(With(end64 + 32, "\xff\xff\xff\xff\xff\xff\xff\xff"s)).find("entries in a directory of"),
            std::string::npos);
  EXPECT_NE(Refused(With(end64 + 32, "\x02"s)).find("after the last entry"), std::string::npos);
  EXPECT_NE(Refused(With(end64 + 48, "\xff\xff\xff\xff\xff\xff\xff\xff"s)).find("outside the file"), std::string::npos);
}

TEST_F(Zip, RefusesEntriesOnTopOfEachOther) {
  const std::size_t first = bytes_.find("PK\x01\x02");
  const std::size_t header = first + 46 + 5 + 4 + 16;  // of a/one's header, in the directory
  const std::size_t second = bytes_.find("PK\x01\x02", first + 1);
  std::string bytes = bytes_;
  bytes.replace(second + 46, 5, "a/one");
  bytes.replace(second + 46 + 5 + 4 + 16, 8, bytes_.substr(header, 8));
  EXPECT_NE(Refused(bytes).find("\"a/one\" overlaps the one before it"), std::string::npos) << Refused(bytes);
  ZipWriter zip(folder_.File("twice"));
  zip.Add("same", "1");
  zip.Add("same", "2");
  zip.Finish();
  EXPECT_NE(ErrorOf<IoError>([&] { ZipReader(folder_.File("twice")); }).find("the entry \"same\" twice"),
            std::string::npos);
}

TEST_F(Zip, WriterRefusesWrongCounts) {
  ZipWriter zip(folder_.File("new"));
  zip.Begin("x", 3);
  EXPECT_NE(ErrorOf<ArgumentError>([&] { zip.Write(std::as_bytes(std::span("abcd", 4))); }), "");
  EXPECT_NE(ErrorOf<ArgumentError>([&] { zip.Finish(); }), "");
}

}  // namespace
}  // namespace coat
