// Checkpoints that several ranks write together and any number of ranks reads.

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_tensors.h"
#include "checkpoint/checksum.h"
#include "checkpoint/part_index.h"
#include "tests/support/error_of.h"
#include "tests/support/example_parts.h"
#include "tests/support/part_bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thread_ranks.h"

namespace coat {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// Saves step 3 with these ranks and returns its path.
std::string Save(const TempDir& folder, int ranks, int shards, CheckpointKind kind = CheckpointKind::kSharded) {
  const CheckpointName name = {.step = 3, .kind = kind};
  const std::string runs = folder.File("ranks" + std::to_string(ranks) + "of" + std::to_string(shards));
  RunAsRanks(ranks, [&](Communicator& communicator) { SaveParts(runs, name, communicator, shards); });
  return runs + "/" + name.text();
}

/// The messages of all ranks, each of which must throw the same class.
template <class Thrown = IoError>
std::vector<std::string> ErrorsOf(int ranks, const std::function<void(Communicator&)>& body) {
  std::vector<std::string> messages(static_cast<std::size_t>(ranks));
  RunAsRanks(ranks, [&](Communicator& communicator) {
    messages[static_cast<std::size_t>(communicator.rank())] = ErrorOf<Thrown>([&] { body(communicator); });
  });
  return messages;
}

/// Every rank threw this one message.
void ExpectOneMessage(const std::vector<std::string>& messages, std::initializer_list<std::string_view> parts) {
  EXPECT_EQ(std::set<std::string>(messages.begin(), messages.end()).size(), 1u);
  ExpectParts(messages[0], parts);
}

/// The file of all tensors as one rank writes it, by other means.
std::string WholeFile(const TempDir& folder) {
  std::vector<TensorInfo> infos;
  for (const ExampleTensor& tensor : ExampleTensors()) infos.push_back(tensor.whole);
  fs::remove(folder.File("whole"));
  SafetensorsWriter writer(folder.File("whole"), infos, {{"format", "pt"}});
  for (const TensorInfo& info : writer.tensors()) {
    const std::string bytes = ExampleTensorBytes(info);
    writer.Write(info.name, std::as_bytes(std::span(bytes)));
  }
  writer.Finish();
  return folder.Read("whole");
}

TEST(Parts, ACheckpointOfAnyNumberOfRanksReadsAsTheWholeAtAnyOther) {
  const TempDir folder;
  const std::string whole = WholeFile(folder);
  for (const int ranks : {1, 2, 3, 4, 7, 40}) {
    SCOPED_TRACE(ranks);
    const std::string path = Save(folder, ranks, ranks);
    for (const int readers : {1, 2, 3}) LoadParts(path, readers);
    const CheckpointTensors tensors(CheckpointReader(path), kExampleFile);
    EXPECT_EQ(tensors.path(), path + "/" + (ranks > 1 ? IndexFileName(kExampleFile) : kExampleFile));
    WriteWhole(tensors, folder.File("merged"));
    EXPECT_EQ(folder.Read("merged"), whole);
    fs::remove(folder.File("merged"));
    EXPECT_EQ(CheckpointReader(path).state().world_size, ranks);
    EXPECT_EQ(FindLatestCheckpoint(fs::path(path).parent_path()).path, path);
    EXPECT_EQ(fs::read_symlink(fs::path(path).parent_path() / "latest"), "step3");
  }
  EXPECT_EQ(folder.Read("ranks1of1/step3/model.safetensors"), whole);
}

TEST(Parts, EachRankWritesWhatItHasAndNoMore) {
  const TempDir folder;
  const std::string path = Save(folder, 4, 4);
  EXPECT_EQ(NamesIn(path),
            (std::set<std::string>{"model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                                   "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors",
                                   "model.parts.json", "notes.txt", "train.json", "config.yaml"}));
  // 703 elements in units of 128 are 2, 2 and 2 units, with 63 elements in the last; 44 in units of 8 the same.
  const CheckpointReader reader(path);
  const auto names_in = [&](const std::string& file) {
    std::map<std::string, std::vector<std::int64_t>> names;
    const SafetensorsReader tensors = reader.OpenSafetensors(file);
    for (const TensorInfo& tensor : tensors.tensors()) names[tensor.name] = tensor.shape;
    return names;
  };
  using Shapes = std::map<std::string, std::vector<std::int64_t>>;
  EXPECT_EQ(names_in("model-00003-of-00004.safetensors"), (Shapes{{"wte.weight", {191}},
                                                                  {"wte.weight.exp_avg", {191}},
                                                                  {"wte.weight.exp_avg.absmax", {12}},
                                                                  {"wte.weight.exp_avg.exponent", {12}},
                                                                  {"wide.weight", {768}}}));
  EXPECT_EQ(names_in("model-00004-of-00004.safetensors"), (Shapes{{"wide.weight", {768}}}));
  // A rank that has nothing at all writes no file: 3072 elements are 24 units.
  EXPECT_EQ(NamesIn(Save(folder, 40, 40)).size(), 24u + 4u);
}

TEST(Parts, RanksThatHaveTheSameShareTheWriting) {
  const TempDir folder;
  for (const int shards : {1, 2}) {
    SCOPED_TRACE(shards);
    const std::string path = Save(folder, 4, shards);
    for (const int readers : {1, 3}) LoadParts(path, readers);
    const CheckpointTensors tensors(CheckpointReader(path), kExampleFile);
    std::set<std::int64_t> counts;
    for (const TensorPart& part : tensors.Tensor("wide.weight").parts) counts.insert(part.part.count);
    EXPECT_EQ(tensors.Tensor("wide.weight").parts.size(), 4u);
    EXPECT_EQ(counts, std::set<std::int64_t>{768});
  }
}

TEST(Parts, AnUnshardedCheckpointOfSeveralRanksIsThatOfOne) {
  const TempDir folder;
  const std::string one = Save(folder, 1, 1, CheckpointKind::kUnsharded);
  for (const int shards : {1, 3}) {
    const std::string path = Save(folder, 3, shards, CheckpointKind::kUnsharded);
    EXPECT_EQ(NamesIn(path), NamesIn(one));
    EXPECT_EQ(folder.Read(path + "/model.safetensors"), folder.Read(one + "/model.safetensors"));
    LoadParts(path, 2);
  }
}

TEST(Parts, TheSameStateGivesTheSameBytes) {
  const TempDir a;
  const TempDir b;
  const std::string path = Save(a, 3, 3);
  Save(b, 3, 3);
  for (const std::string& name : NamesIn(path)) {
    EXPECT_EQ(a.Read("ranks3of3/step3/" + name), b.Read("ranks3of3/step3/" + name)) << name;
  }
}

TEST(Parts, ARankThatFailsFailsAllWithOneMessageAndLeavesNoName) {
  const TempDir folder;
  Save(folder, 3, 3);
  const std::string runs = folder.File("ranks3of3");
  const auto save = [&](Communicator& ranks, int failing, const std::function<void(Communicator&)>& fail) {
    CheckpointWriter writer(runs, {.step = 4}, IfExists::kRefuse, ranks);
    const std::vector<StatePart> parts = ExampleParts(ranks.rank(), 3);
    ranks.Barrier();
    if (ranks.rank() == failing) fail(ranks);
    const BytesOfTensor bytes = ExampleBytesOf(parts);
    writer.AddTensors(kExampleFile, parts, [&](std::size_t index, Part part) {
      if (ranks.rank() == failing && index == 5) throw IoError("the device is gone");
      return bytes(index, part);
    });
    writer.Commit({}, "");
  };
  const auto nothing = [](Communicator&) {};
  for (const int failing : {0, 1, 2}) {
    ExpectOneMessage(ErrorsOf(3, [&](Communicator& ranks) { save(ranks, failing, nothing); }),
                     {"rank " + std::to_string(failing) + ": the device is gone"});
    EXPECT_EQ(NamesIn(runs), (std::set<std::string>{"step3", "latest"}));
  }
  const auto occupy = [&](Communicator& ranks) {
    folder.Write("ranks3of3/step4-tmp/" + PartFileName(kExampleFile, ranks.rank(), 3), "in the way");
  };
  ExpectOneMessage(ErrorsOf(3, [&](Communicator& ranks) { save(ranks, 2, occupy); }),
                   {"rank 2: ", "step4-tmp/model-00003-of-00003.safetensors", "File exists"});
  const auto lose_folder = [&](Communicator&) { fs::remove_all(runs + "/step4-tmp"); };
  ExpectOneMessage(ErrorsOf(3, [&](Communicator& ranks) { save(ranks, 1, lose_folder); }),
                   {"rank 0: ", "No such file", "(and 2 other ranks failed)"});
  EXPECT_EQ(NamesIn(runs), (std::set<std::string>{"step3", "latest"}));
  LoadParts(runs + "/latest", 1);
}

TEST(Parts, WhatRankZeroCannotDoAllRanksReport) {
  const TempDir folder;
  Save(folder, 2, 2);
  const std::string runs = folder.File("ranks2of2");
  ExpectOneMessage(ErrorsOf(2, [&](Communicator& ranks) { SaveParts(runs, {.step = 3}, ranks, 2); }),
                   {"rank 0: ", runs + "/step3", "it exists", "save_overwrite"});
  const auto commit = [&](Communicator& ranks) {
    CheckpointWriter writer(runs, {.step = 5}, IfExists::kRefuse, ranks);
    writer.AddFile("a", "");
    writer.AddFile("a", "");
    writer.Commit({}, "");
  };
  ExpectOneMessage(ErrorsOf(2, commit), {"rank 0: ", "step5-tmp/a", "File exists"});
  EXPECT_EQ(NamesIn(runs), (std::set<std::string>{"step3", "latest"}));
  RunAsRanks(2, [&](Communicator& ranks) { SaveParts(runs, {.step = 3}, ranks, 1, IfExists::kReplace); });
  LoadParts(runs + "/step3", 1);
}

TEST(Parts, RanksMustHaveEveryElementOfTheSameTensors) {
  const TempDir folder;
  const auto errors = [&](const std::function<void(int rank, StatePart&)>& change) {
    return ErrorsOf<ArgumentError>(2, [&](Communicator& ranks) {
      std::vector<StatePart> parts = ExampleParts(ranks.rank(), 2);
      change(ranks.rank(), parts[5]);
      CheckpointWriter writer(folder.path(), {.step = 3}, IfExists::kRefuse, ranks);
      writer.AddTensors(kExampleFile, parts, [](std::size_t, Part) { return std::span<const std::byte>(); });
    });
  };
  ExpectOneMessage(errors([](int rank, StatePart& part) { part.part.count -= rank == 0 ? 128 : 0; }),
                   {"wide.weight", "element 1408 is on no rank"});
  ExpectOneMessage(errors([](int rank, StatePart& part) { part.part.count -= rank == 1 ? 1 : 0; }),
                   {"wide.weight", "element 3071 is on no rank"});
  ExpectOneMessage(errors([](int rank, StatePart& part) { part.part.count += rank == 0 ? 1 : 0; }),
                   {"wide.weight", "two different parts"});
  ExpectOneMessage(errors([](int rank, StatePart& part) { part.part.count += rank == 1 ? 1 : 0; }),
                   {"wide.weight", "beyond its end"});
  ExpectOneMessage(errors([](int rank, StatePart& part) { part.whole.shape[0] += rank; }),
                   {"rank 1 has other tensors than rank 0"});
  EXPECT_EQ(NamesIn(folder.path()), std::set<std::string>());
}

TEST(Parts, OnlyFilesOfWhatIsAskedForAreRead) {
  const TempDir folder;
  const std::string path = Save(folder, 3, 3);
  const CheckpointTensors tensors(CheckpointReader(path), kExampleFile);
  fs::remove(path + "/model-00001-of-00003.safetensors");
  EXPECT_EQ(BytesOfPart(tensors, "wte.weight", {.first = 256, .count = 447}),
            ExampleTensorBytes(ExampleTensors()[0].whole).substr(4 * 256));
  ExpectParts(ErrorOf([&] { BytesOfPart(tensors, "wte.weight", {.first = 255, .count = 320}); }),
              {"model-00001-of-00003.safetensors", "No such file"});
  ExpectParts(ErrorOf([&] { tensors.Tensor("wte"); }), {"model.parts.json", "no tensor \"wte\""});
  ErrorOf<ArgumentError>([&] { BytesOfPart(tensors, "wte.weight", {.first = 384, .count = 320}); });
}

/// A checkpoint of three ranks to damage, whose records can be made to fit again.
class DamagedParts : public ::testing::Test {
 protected:
  static constexpr const char* kSecond = "model-00002-of-00003.safetensors";

  /// Writes a file of the checkpoint anew, and its record too.
  void Replace(const std::string& name, const std::string& bytes) {
    fs::remove(path_ + "/" + name);
    folder_.Write("ranks3of3/step3/" + name, bytes);
    TrainerState state = CheckpointReader(path_).state();
    for (FileRecord& file : state.files) {
      if (file.name == name) {
        file.size_bytes = bytes.size();
        file.crc32 = Crc32(std::as_bytes(std::span(bytes)));
      }
    }
    folder_.Write("ranks3of3/step3/train.json", FormatTrainerState(state));
  }

  /// Reads everything with the index changed so.
  std::string ErrorWith(const std::function<void(ordered_json& index)>& change) {
    ordered_json index = ordered_json::parse(index_);
    change(index);
    Replace("model.parts.json", index.dump());
    const std::string message = ErrorOf([&] { LoadParts(path_, 1); });
    ExpectParts(message, {path_});
    Replace("model.parts.json", index_);
    return message;
  }

  /// A new second file, whose tensors are changed so.
  std::string ErrorWithSecond(const std::function<void(std::vector<TensorInfo>&)>& change) {
    const std::string whole = folder_.Read(path_ + "/" + kSecond);
    std::vector<TensorInfo> infos = CheckpointReader(path_).OpenSafetensors(kSecond).tensors();
    change(infos);
    {
      SafetensorsWriter writer(folder_.File("second"), infos);
      for (const TensorInfo& info : writer.tensors()) {
        writer.Write(info.name, std::vector<std::byte>(static_cast<std::size_t>(info.size_bytes())));
      }
      writer.Finish();
    }
    Replace(kSecond, folder_.Read("second"));
    fs::remove(folder_.File("second"));
    const std::string message = ErrorOf([&] { LoadParts(path_, 1); });
    Replace(kSecond, whole);
    return message;
  }

  const TempDir folder_;
  const std::string path_ = Save(folder_, 3, 3);
  const std::string index_ = folder_.Read(path_ + "/model.parts.json");
};

TEST_F(DamagedParts, AreRefusedByTheIndexWithTheTensorAndTheFile) {
  const auto wte = [](ordered_json& index) -> ordered_json& { return index["tensors"][0]["parts"]; };
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index).erase(1); }),
              {"model.parts.json", "\"wte.weight\"", "elements from 256 to 511 are in no part"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index).erase(2); }), {"512 to 702 are in no part"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index) = ordered_json::array(); }), {"0 to 702 are in no part"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index)[1][1] = 255; }),
              {"element 255 is in the parts of \"model-00001-of-00003.safetensors\" and of \"model-00002"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index)[2][2] = 192; }), {"192 elements from 512", "[37, 19]"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index)[2][2] = 0; }), {"0 elements from 512"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index)[2][2] = INT64_MAX; }), {"elements from 512"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index)[2][0] = 0; }), {"two parts are in \"model-00001"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index)[2][0] = 3; }), {"in file 3; there are 3"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index)[2][0] = -1; }), {"-1"});
  ExpectParts(ErrorWith([&](ordered_json& index) { wte(index)[2].push_back(1); }), {"file, first and count"});
  const auto first = [](ordered_json& index) -> ordered_json& { return index["tensors"][0]; };
  ExpectParts(ErrorWith([&](ordered_json& index) { first(index)["shape"] = {37, 20}; }), {"703 to 739 are in no part"});
  ExpectParts(ErrorWith([&](ordered_json& index) { first(index)["shape"] = {1LL << 40, 1LL << 40}; }), {"2^63"});
  ExpectParts(ErrorWith([&](ordered_json& index) { first(index)["dtype"] = "F33"; }), {"unknown dtype \"F33\""});
  ExpectParts(ErrorWith([&](ordered_json& index) { first(index)["dtype"] = "I32"; }),
              {"model-00001", "\"wte.weight\" is F32 [256]; expected I32 [256]"});
  ExpectParts(ErrorWith([&](ordered_json& index) { first(index)["more"] = 1; }), {"name, dtype, shape, parts"});
  ExpectParts(ErrorWith([&](ordered_json& index) { index["tensors"].push_back(first(index)); }), {"comes twice"});
  ExpectParts(ErrorWith([&](ordered_json& index) { index["tensors"].erase(5); }),
              {"model-00001", "holds 8 tensors", "says 7"});
  for (const char* const name : {"../step2/model.safetensors", "/etc/passwd", "..", ""}) {
    ExpectParts(ErrorWith([&](ordered_json& index) { index["files"][1] = name; }), {"files[1]", "the same folder"});
  }
  ExpectParts(ErrorWith([&](ordered_json& index) { index["files"][1] = "other.safetensors"; }),
              {"no file \"other.safetensors\""});
  ExpectParts(ErrorWith([&](ordered_json& index) { index["files"][1] = index["files"][0]; }), {"comes twice"});
  ExpectParts(ErrorWith([&](ordered_json& index) { index = {1}; }), {"files, tensors"});
  LoadParts(path_, 3);
}

TEST_F(DamagedParts, AreRefusedByTheirFiles) {
  const std::string whole = folder_.Read(path_ + "/" + kSecond);
  const auto error_with = [&](const std::string& bytes) {
    fs::remove(path_ + "/" + kSecond);
    folder_.Write(std::string("ranks3of3/step3/") + kSecond, bytes);
    return ErrorOf([&] { LoadParts(path_, 2); });
  };
  ExpectParts(error_with(whole.substr(0, whole.size() - 1)), {kSecond, "bytes long", "train.json"});
  std::string damaged = whole;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  ExpectParts(error_with(damaged), {kSecond, "damaged"});
  error_with("");
  fs::remove(path_ + "/" + kSecond);
  ExpectParts(ErrorOf([&] { LoadParts(path_, 2); }), {kSecond, "No such file"});
  Replace(kSecond, whole);
  ExpectParts(ErrorWithSecond([](std::vector<TensorInfo>& infos) {
                std::erase_if(infos, [](const TensorInfo& info) { return info.name == "wte.weight"; });
              }),
              {kSecond, "no tensor \"wte.weight\""});
  ExpectParts(ErrorWithSecond([](std::vector<TensorInfo>& infos) { infos[0].shape[0] += 1; }),
              {kSecond, "expected F32", "as", "model.parts.json says"});
  ExpectParts(ErrorWithSecond([](std::vector<TensorInfo>& infos) {
                infos[0].shape = {2, infos[0].shape[0] / 2};
              }),
              {kSecond, "expected F32"});
  ExpectParts(
      ErrorWithSecond([](std::vector<TensorInfo>& infos) { infos.push_back(infos[0]), infos.back().name = "x"; }),
      {kSecond, "tensors;", "model.parts.json says"});
  LoadParts(path_, 3);
}

TEST(PartIndex, KeepsWhatItIsGivenAndRefusesEveryOtherText) {
  const PartIndex index = {.files = {"a b.safetensors", "\"quoted\""},
                           .tensors = {{{.name = "x\n", .dtype = "F32", .shape = {3, 2}}, {{1, {0, 2}}, {0, {2, 4}}}},
                                       {{.name = "y", .dtype = "U8", .shape = {}}, {{0, {0, 1}}}}}};
  const std::string text = FormatPartIndex(index);
  const PartIndex read = ParsePartIndex(text, "index");
  EXPECT_EQ(read.files, index.files);
  ASSERT_EQ(read.tensors.size(), 2u);
  EXPECT_EQ(read.tensors[0].whole.name, "x\n");
  EXPECT_EQ(read.tensors[0].parts, index.tensors[0].parts);
  EXPECT_EQ(read.tensors[1].whole.shape, std::vector<std::int64_t>());
  int refused = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char other : {'9', '"', '[', '}', ',', '-', 'e', '\0', '\xff'}) {
      std::string changed = text;
      changed[at] = other;
      try {
        ParsePartIndex(changed, "index");
      } catch (const IoError& error) {
        ++refused;
        EXPECT_EQ(std::string(error.what()).substr(0, 7), "index: ");
      }
    }
  }
  for (std::size_t size = 0; size + 1 < text.size(); ++size) {  // the last byte ends the line
    EXPECT_THROW(ParsePartIndex(text.substr(0, size), "index"), IoError) << size;
  }
  EXPECT_GT(refused, 1000);
  EXPECT_THROW(ParsePartIndex(std::string(100'000, '['), "index"), IoError);
  EXPECT_THROW(ParsePartIndex(text + "x", "index"), IoError);
}

}  // namespace
}  // namespace coat
