#include "data/token_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

template <class Id>
std::string Raw(const std::vector<Id>& ids) {
  return {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(Id)};
}

std::vector<std::int32_t> Sequence(const TokenFile& file, std::int64_t index, std::size_t length,
                                   std::int64_t vocab_size = 1 << 16) {
  std::vector<std::int32_t> tokens(length, -1);
  file.ReadSequence(index, vocab_size, tokens);
  return tokens;
}

std::string OpenError(const std::string& path, TokenType type = TokenType::kUint16, std::int64_t length = 4) {
  return ErrorOf([&] { TokenFile(path, type, length); });
}

TEST(TokenFile, CutsUint16IntoSequencesAndDropsTheRest) {
  const TempDir folder;
  const std::string path = folder.Write("a.npy", Raw<std::uint16_t>({0, 1, 2, 3, 4, 5, 65535, 7, 8, 9, 10}));
  const TokenFile file(path, TokenType::kUint16, 4);
  EXPECT_EQ(file.path(), path);
  EXPECT_EQ(file.token_count(), 11);
  EXPECT_EQ(file.sequence_count(), 2);
  EXPECT_EQ(Sequence(file, 0, 4), (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(Sequence(file, 1, 4), (std::vector<std::int32_t>{4, 5, 65535, 7}));
}

TEST(TokenFile, ReadsUint32) {
  const TempDir folder;
  const TokenFile file(folder.Write("a", Raw<std::uint32_t>({0, 100'277, 65536, 3, 0x7fffffff, 5})), TokenType::kUint32,
                       3);
  EXPECT_EQ(file.sequence_count(), 2);
  EXPECT_EQ(Sequence(file, 0, 3, 100'278), (std::vector<std::int32_t>{0, 100'277, 65536}));
  EXPECT_EQ(Sequence(file, 1, 3, std::int64_t{1} << 31), (std::vector<std::int32_t>{3, 0x7fffffff, 5}));
}

TEST(TokenFile, NamesTheFirstIdBeyondTheVocabulary) {
  const TempDir folder;
  const std::string narrow = folder.Write("narrow", Raw<std::uint16_t>({0, 1, 2, 3, 4, 5, 50280, 60000}));
  const TokenFile file(narrow, TokenType::kUint16, 4);
  EXPECT_EQ(Sequence(file, 0, 4, 4).size(), 4u);
  EXPECT_EQ(ErrorOf([&] { Sequence(file, 1, 4, 50280); }),
            narrow + ": token 6 (byte 12) is 50280; the vocabulary has 50280 ids, 0 to 50279");
  EXPECT_EQ(Sequence(file, 1, 4, 60001).size(), 4u);

  // An id whose int32 would be negative, in the last place of a long sequence.
  std::vector<std::uint32_t> ids(1003, 7);
  ids.back() = 0xfffffff0u;
  const std::string wide = folder.Write("wide", Raw(ids));
  const TokenFile wide_file(wide, TokenType::kUint32, 1003);
  EXPECT_EQ(ErrorOf([&] { Sequence(wide_file, 0, 1003, 100'278); }),
            wide + ": token 1002 (byte 4008) is 4294967280; the vocabulary has 100278 ids, 0 to 100277");
}

TEST(TokenFile, ChecksSequencesAsItReadsThem) {
  const TempDir folder;
  for (const TokenType type : {TokenType::kUint16, TokenType::kUint32}) {
    const std::string path = type == TokenType::kUint16
                                 ? folder.Write("a", Raw<std::uint16_t>({0, 1, 2, 50280, 4, 5, 60000, 7, 8}))
                                 : folder.Write("b", Raw<std::uint32_t>({0, 1, 2, 50280, 4, 5, 60000, 7, 8}));
    const TokenFile file(path, type, 2);
    EXPECT_NO_THROW(file.CheckSequences(0, 4, 60001));  // what is left of the file is not looked at
    EXPECT_NO_THROW(file.CheckSequences(0, 1, 50280));
    EXPECT_NO_THROW(file.CheckSequences(2, 1, 50280));
    EXPECT_NO_THROW(file.CheckSequences(4, 0, 1));
    for (const std::int64_t vocab_size : {50280, 50281}) {
      const std::int64_t bad = vocab_size == 50280 ? 1 : 3;
      EXPECT_EQ(ErrorOf([&] { file.CheckSequences(0, 4, vocab_size); }),
                ErrorOf([&] { Sequence(file, bad, 2, vocab_size); }));
    }
    EXPECT_THROW(file.CheckSequences(0, 5, 60001), ArgumentError);
    EXPECT_THROW(file.CheckSequences(-1, 1, 60001), ArgumentError);
  }
}

TEST(TokenFile, FindsABadIdInEveryPlace) {
  const TempDir folder;
  constexpr std::size_t kLength = 67;
  for (std::size_t place = 0; place < kLength; ++place) {
    std::vector<std::uint16_t> ids(kLength, 256);
    ids[place] = 257;
    const TokenFile file(folder.Write("a", Raw(ids)), TokenType::kUint16, kLength);
    ExpectParts(ErrorOf([&] { Sequence(file, 0, kLength, 257); }), {": token " + std::to_string(place) + " "});
  }
}

TEST(TokenFile, RefusesWhatIsNoTokenFile) {
  const TempDir folder;
  const std::string missing = folder.File("missing.npy");
  EXPECT_EQ(OpenError(missing), missing + ": cannot be read: No such file or directory");
  EXPECT_EQ(OpenError(folder.path()), folder.path() + ": is a folder; expected a file");

  const std::string odd = folder.Write("odd", std::string(17, 'x'));
  EXPECT_EQ(OpenError(odd), odd + ": has 17 bytes, which is not a multiple of the 2 of a uint16 token");
  const std::string odd32 = folder.Write("odd32", std::string(18, 'x'));
  EXPECT_EQ(OpenError(odd32, TokenType::kUint32),
            odd32 + ": has 18 bytes, which is not a multiple of the 4 of a uint32 token");

  const std::string empty = folder.Write("empty", "");
  EXPECT_EQ(OpenError(empty), empty + ": has 0 bytes = 0 uint16 tokens; one sequence needs 4 tokens = 8 bytes");
  const std::string brief = folder.Write("brief", std::string(6, 'x'));
  EXPECT_EQ(OpenError(brief), brief + ": has 6 bytes = 3 uint16 tokens; one sequence needs 4 tokens = 8 bytes");
}

TEST(TokenFile, RefusesAnUnreadableFile) {
  const TempDir folder;
  const std::string path = folder.Write("a", std::string(16, 'x'));
  ::chmod(path.c_str(), 0);
  const uid_t user = ::geteuid();
  constexpr uid_t kNobody = 65534;  // root may read every file
  ASSERT_TRUE(user != 0 || ::seteuid(kNobody) == 0);
  const std::string message = OpenError(path);
  ASSERT_EQ(::seteuid(user), 0);
  EXPECT_EQ(message, path + ": cannot be read: Permission denied");
}

TEST(TokenFile, RefusesANamedPipeWithoutWaitingForIt) {
  const TempDir folder;
  const std::string pipe = folder.File("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(OpenError(pipe), pipe + ": is not a regular file; only those can be mapped into memory");
  EXPECT_EQ(OpenError("/dev/zero"), "/dev/zero: is not a regular file; only those can be mapped into memory");
}

TEST(TokenFile, RefusesNumpysFormatAndSaysHowToConvert) {
  const TempDir folder;
  std::string bytes = "\x93NUMPY";
  bytes += '\1';
  bytes += '\0';
  bytes += std::string(200, ' ');
  const std::string path = folder.Write("a.npy", bytes);
  EXPECT_EQ(OpenError(path),
            path +
                ": has the header of NumPy's .npy format at byte 0; token files are raw uint16 without a "
                "header. Convert it in Python: numpy.load(\"" +
                path + "\").astype(\"<u2\").tofile(\"NEW_FILE\")");
  ExpectParts(OpenError(path, TokenType::kUint32), {"astype(\"<u4\")"});
  // Three tokens that happen to spell the magic are tokens when no version follows.
  bytes[6] = '\x42';
  EXPECT_EQ(TokenFile(folder.Write("b.npy", bytes), TokenType::kUint16, 4).token_count(), 104);
}

TEST(TokenFile, RefusesAFileThatWasCutShortWhileInUse) {
  const TempDir folder;
  const std::string path = folder.Write("a", std::string(1 << 20, '\1'));
  const TokenFile file(path, TokenType::kUint16, 1024);
  EXPECT_EQ(Sequence(file, 511, 1024).front(), 0x0101);
  std::filesystem::resize_file(path, 4096);
  EXPECT_EQ(ErrorOf([&] { Sequence(file, 511, 1024); }),
            path + ": has become shorter while in use: 4096 bytes, 1048576 when it was opened");
}

TEST(TokenFile, KeepsReadingAFileThatWasReplaced) {
  const TempDir folder;
  const std::string path = folder.Write("a", std::string(1 << 16, '\1'));
  const TokenFile file(path, TokenType::kUint16, 1024);
  std::filesystem::rename(folder.Write("b", "x"), path);
  EXPECT_EQ(Sequence(file, 31, 1024), std::vector<std::int32_t>(1024, 0x0101));
}

TEST(TokenFile, ReadsBeyondFourGibibytes) {
  const TempDir folder;
  const std::string path = folder.File("large");
  constexpr std::int64_t kTokens = (std::int64_t{5} << 30) / 2;
  {
    std::ofstream stream(path, std::ios::binary);
    stream.seekp(kTokens * 2 - 4);
    const std::array<std::uint16_t, 2> last = {11, 300};
    stream.write(reinterpret_cast<const char*>(last.data()), 4);  // the rest is a hole, which takes no space
  }
  const TokenFile file(path, TokenType::kUint16, 1024);
  EXPECT_EQ(file.token_count(), kTokens);
  EXPECT_EQ(file.sequence_count(), kTokens / 1024);
  std::vector<std::int32_t> expected(1024, 0);
  expected[1022] = 11;
  expected[1023] = 300;
  EXPECT_EQ(Sequence(file, kTokens / 1024 - 1, 1024), expected);
  EXPECT_EQ(ErrorOf([&] { Sequence(file, kTokens / 1024 - 1, 1024, 257); }),
            path + ": token 2684354559 (byte 5368709118) is 300; the vocabulary has 257 ids, 0 to 256");
}

TEST(TokenFile, RefusesSequencesThatDoNotExist) {
  const TempDir folder;
  const TokenFile file(folder.Write("a", std::string(16, '\0')), TokenType::kUint16, 4);
  EXPECT_THROW(Sequence(file, 2, 4), ArgumentError);
  EXPECT_THROW(Sequence(file, -1, 4), ArgumentError);
  EXPECT_THROW(Sequence(file, 0, 5), ArgumentError);
  EXPECT_THROW(TokenFile(file.path(), TokenType::kUint16, 0), ArgumentError);
}

}  // namespace
}  // namespace coat
