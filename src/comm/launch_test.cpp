#include "comm/launch.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

/// Sets variables of the environment for the life of this object.
class Set {
 public:
  explicit Set(std::vector<std::pair<std::string, std::string>> variables) : variables_(std::move(variables)) {
    for (const auto& [name, value] : variables_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Set() {
    for (const auto& [name, value] : variables_) ::unsetenv(name.c_str());
  }

 private:
  std::vector<std::pair<std::string, std::string>> variables_;
};

TEST(JoinRanks, IsAloneWithoutALauncher) {
  EXPECT_EQ(JoinRanks()->size(), 1);
  EXPECT_EQ(LaunchedRank(), 0);
  EXPECT_EQ(LocalRank(), 0);
}

TEST(JoinRanks, LoadsNothingForOneRank) {
  const Set environment({{"PMI_SIZE", "1"}, {"PMI_RANK", "0"}, {"COAT_MPI_MODULE", "/nowhere/coat_mpi.so"}});
  EXPECT_EQ(JoinRanks()->size(), 1);
  EXPECT_EQ(LocalRank(), 0);
}

TEST(JoinRanks, SaysWhatToBuildWhereTheModuleIsMissing) {
  const Set environment({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}, {"COAT_MPI_MODULE", "/nowhere/coat_mpi.so"}});
  ExpectParts(ErrorOf<CommError>([] { JoinRanks(); }),
              {"mpirun (PMI_SIZE) has started 2 ranks", "/nowhere/coat_mpi.so", "libopenmpi-dev", "COAT_MPI=ON"});
  EXPECT_EQ(LaunchedRank(), 1);
}

TEST(JoinRanks, LooksBesideTheProgram) {
  const Set environment({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}});
  ExpectParts(ErrorOf<CommError>([] { JoinRanks(); }), {"is not there: /", "/src/comm/coat_mpi.so"});
}

TEST(JoinRanks, SaysWhyAModuleCannotBeLoaded) {
  const TempDir folder;
  const std::string path = folder.Write("coat_mpi.so", "no library");
  const Set environment({{"PMI_SIZE", "2"}, {"PMI_RANK", "0"}, {"COAT_MPI_MODULE", path}});
  ExpectParts(ErrorOf<CommError>([] { JoinRanks(); }), {"cannot be loaded", path, "openmpi-bin"});
}

TEST(JoinRanks, RefusesAnotherLibrary) {
  Dl_info libc = {};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&::getpid), &libc), 0);
  const Set environment({{"PMI_SIZE", "2"}, {"PMI_RANK", "0"}, {"COAT_MPI_MODULE", libc.dli_fname}});
  ExpectParts(ErrorOf<CommError>([] { JoinRanks(); }), {libc.dli_fname, "not of this version"});
}

TEST(LocalRank, MustBeSaid) {
  const Set environment({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}});
  ExpectParts(ErrorOf<CommError>([] { LocalRank(); }), {"PMI_SIZE", "MPI_LOCALRANKID"});
}

TEST(LaunchedRank, IsZeroWhereTheLauncherMakesNoSense) {
  const Set environment({{"PMI_SIZE", "2"}, {"PMI_RANK", "x"}});
  EXPECT_EQ(LaunchedRank(), 0);
  ExpectParts(ErrorOf<CommError>([] { JoinRanks(); }), {"PMI_RANK"});
}

}  // namespace
}  // namespace coat
