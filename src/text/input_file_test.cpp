#include "text/input_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/gzip.h"
#include "tests/support/noise.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zstd.h"

namespace coat {
namespace {

std::string ReadAll(const std::string& path, std::size_t piece_bytes = 1000) {
  InputFile file(path);
  std::string text;
  std::vector<std::byte> piece(piece_bytes);
  while (const std::size_t count = file.Read(piece)) {
    text.append(reinterpret_cast<const char*>(piece.data()), count);
  }
  EXPECT_EQ(file.Read(piece), 0u);  // the end stays the end
  return text;
}

TEST(InputFile, ReadsPlainFiles) {
  const TempDir folder;
  for (const std::size_t size : {0u, 1u, 2u, 1000u, 262'144u, 600'001u}) {
    const std::string text = Noise(size);
    EXPECT_TRUE(ReadAll(folder.Write("a.txt", text)) == text) << size;
  }
}

TEST(InputFile, DecompressesByContentNotByName) {
  const TempDir folder;
  const std::string text = Noise(700'001);
  EXPECT_TRUE(ReadAll(folder.Write("a.txt.gz", Gzip(text))) == text);
  EXPECT_TRUE(ReadAll(folder.Write("a.txt", Gzip(text)), 1) == text);
  EXPECT_EQ(ReadAll(folder.Write("empty.gz", Gzip(""))), "");
  const std::string plain = folder.Write("plain.gz", "plain");
  EXPECT_EQ(ErrorOf([&] { ReadAll(plain); }),
            plain + ": is named .gz and is not gzip: it does not begin with the bytes 1f 8b");
  EXPECT_THROW(ReadAll(folder.Write("nothing.gz", "")), IoError);
}

TEST(InputFile, DecompressesAllMembers) {
  const TempDir folder;
  const std::string noise = Noise(300'000);
  EXPECT_TRUE(ReadAll(folder.Write("a.gz", Gzip("one") + Gzip("") + Gzip(noise) + Gzip("two"))) ==
              "one" + noise + "two");
}

TEST(InputFile, PassesOverZerosBehindGzipMembers) {
  const TempDir folder;
  for (const std::size_t zeros : {1u, 511u, 300'000u}) {  // the last: more than is read at once
    const std::string padding(zeros, '\0');
    EXPECT_EQ(ReadAll(folder.Write("a.gz", Gzip("one") + padding)), "one");
    EXPECT_EQ(ReadAll(folder.Write("a.gz", Gzip("one") + padding + Gzip("two") + padding)), "onetwo");
    const std::string trailing = folder.Write("b.gz", Gzip("one") + padding + "trailing");
    ExpectParts(ErrorOf([&] { ReadAll(trailing); }), {"damaged near byte ", "incorrect header check"});
  }
}

TEST(InputFile, ReportsGzipDataThatAreCutShort) {
  const TempDir folder;
  const std::string whole = Gzip("one") + Gzip(Noise(1000));
  const std::size_t first_member = Gzip("one").size();
  for (std::size_t size = 2; size < whole.size(); ++size) {
    if (size == first_member) {
      continue;  // a whole file
    }
    const std::string path = folder.Write("a.gz", whole.substr(0, size));
    ASSERT_EQ(ErrorOf([&] { ReadAll(path); }), path + ": the gzip data are cut short at byte " + std::to_string(size));
  }
}

TEST(InputFile, ReportsGzipDataThatAreDamaged) {
  const TempDir folder;
  std::string bytes = Gzip(Noise(1000));
  bytes[bytes.size() - 6] ^= 1;  // of the checksum
  const std::string path = folder.Write("a.gz", bytes);
  EXPECT_EQ(ErrorOf([&] { ReadAll(path); }), path + ": the gzip data are damaged near byte " +
                                                 std::to_string(bytes.size() - 4) + ": incorrect data check");
  const std::string trailing = folder.Write("b.gz", Gzip("one") + "trailing");
  ExpectParts(ErrorOf([&] { ReadAll(trailing); }),
              {"damaged near byte " + std::to_string(Gzip("one").size() + 2), "incorrect header check"});
}

TEST(InputFile, DecompressesZstdFrames) {
  const TempDir folder;
  const std::string noise = Noise(700'001);
  const std::string zeros(5'000'000, '\0');  // of which the last byte of data is read long before the last of text
  const std::string skippable("\x52\x2a\x4d\x18\x03\0\0\0abc", 11);
  const std::string bytes =
      skippable + Zstd(noise) + Zstd("") + Zstd(zeros, 19) + skippable + Zstd("end") + Zstd(zeros);
  for (const std::size_t piece : {1000u, 1'000'003u}) {
    EXPECT_TRUE(ReadAll(folder.Write("a.jsonl.zst", bytes), piece) == noise + zeros + "end" + zeros);
  }
  EXPECT_TRUE(ReadAll(folder.Write("a.txt", Zstd(noise))) == noise);
  EXPECT_EQ(ReadAll(folder.Write("short.txt", "(\xb5/")), "(\xb5/");
  const std::string plain = folder.Write("plain.zst", "plain");
  EXPECT_EQ(ErrorOf([&] { ReadAll(plain); }),
            plain + ": is named .zst and is not zstd: it does not begin with the bytes 28 b5 2f fd");
}

TEST(InputFile, DecompressesZstdFramesOfTheLargestWindow) {
  const TempDir folder;
  // As `zstd --long=31` writes them: no sizes, a window of 2^31 bytes, and one last block of 4 bytes as they are.
  const std::string frame("\x28\xb5\x2f\xfd\x00\xa8\x21\x00\x00text", 13);
  EXPECT_EQ(ReadAll(folder.Write("a.zst", frame + Zstd("more"))), "textmore");
}

TEST(InputFile, ReportsZstdDataThatAreCutShortOrDamaged) {
  const TempDir folder;
  const std::string first = Zstd("one");
  const std::string whole = first + Zstd(Noise(1000));
  for (std::size_t size = 4; size < whole.size(); ++size) {
    if (size == first.size()) continue;  // a whole file
    const std::string path = folder.Write("a.zst", whole.substr(0, size));
    ASSERT_EQ(ErrorOf([&] { ReadAll(path); }), path + ": the zstd data are cut short at byte " + std::to_string(size));
  }
  const std::string trailing = folder.Write("b.zst", first + "trailing");
  ExpectParts(ErrorOf([&] { ReadAll(trailing); }), {trailing + ": the zstd data are damaged near byte "});
}

TEST(InputFile, CountsWhatItConsumedOfTheStoredFile) {
  const TempDir folder;
  const std::string bytes = Gzip(Noise(500'000));
  InputFile file(folder.Write("a.gz", bytes));
  std::vector<std::byte> piece(1 << 20);
  std::int64_t last = 0;
  while (file.Read(piece) > 0) {
    EXPECT_GE(file.consumed_bytes(), last);
    last = file.consumed_bytes();
  }
  EXPECT_EQ(file.consumed_bytes(), static_cast<std::int64_t>(bytes.size()));
}

TEST(InputFile, ReadsAPipeThatGivesOneByteAtATime) {
  const TempDir folder;
  const std::string pipe = folder.File("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] {
    std::ofstream stream(pipe, std::ios::binary);
    for (const char byte : Gzip("some text")) {
      stream << byte << std::flush;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  EXPECT_EQ(ReadAll(pipe), "some text");
  writer.join();
}

TEST(InputFile, RefusesFoldersAndMissingFiles) {
  const TempDir folder;
  EXPECT_EQ(ErrorOf([&] { InputFile(folder.path()); }), folder.path() + ": is a folder; expected a file");
  const std::string missing = folder.File("missing.txt");
  EXPECT_EQ(ErrorOf([&] { InputFile{missing}; }), missing + ": cannot be read: No such file or directory");
}

}  // namespace
}  // namespace coat
