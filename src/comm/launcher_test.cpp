#include "comm/launcher.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/error_of.h"

namespace coat {
namespace {

using Variables = std::map<std::string, std::string>;

Environment EnvironmentOf(const Variables& variables) {
  return [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

Launch Read(const Variables& variables) {
  return ReadLaunch(EnvironmentOf(variables));
}

void ExpectLaunch(const Variables& variables, int ranks, int rank, int local_rank) {
  const Launch launch = Read(variables);
  EXPECT_EQ(launch.ranks, ranks);
  EXPECT_EQ(launch.rank, rank);
  EXPECT_EQ(launch.local_rank, local_rank);
}

TEST(Launcher, IsNotThereInAPlainShell) {
  ExpectLaunch({{"HOME", "/root"}}, 1, 0, 0);
  EXPECT_EQ(Read({}).launcher, "");
}

TEST(Launcher, IsOpenMpi) {
  const Variables variables = {
      {"OMPI_COMM_WORLD_SIZE", "8"}, {"OMPI_COMM_WORLD_RANK", "5"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}};
  ExpectLaunch(variables, 8, 5, 1);
  EXPECT_EQ(Read(variables).launcher, "mpirun (OMPI_COMM_WORLD_SIZE)");
}

TEST(Launcher, IsMpich) {
  ExpectLaunch({{"PMI_SIZE", "4"}, {"PMI_RANK", "3"}, {"MPI_LOCALRANKID", "1"}}, 4, 3, 1);
  ExpectLaunch({{"PMI_SIZE", "4"}, {"PMI_RANK", "3"}}, 4, 3, -1);
}

TEST(Launcher, IsSrun) {
  const Variables step = {
      {"SLURM_STEP_ID", "0"}, {"SLURM_NTASKS", "16"}, {"SLURM_PROCID", "9"}, {"SLURM_LOCALID", "1"}};
  ExpectLaunch(step, 16, 9, 1);
  EXPECT_EQ(Read(step).launcher, "srun (SLURM_NTASKS)");
  // A step of fewer tasks than the allocation has.
  Variables small = step;
  small["SLURM_STEP_NUM_TASKS"] = "10";
  ExpectLaunch(small, 10, 9, 1);
  // srun with PMI2.
  Variables pmi = step;
  pmi["PMI_SIZE"] = "16";
  pmi["PMI_RANK"] = "9";
  ExpectLaunch(pmi, 16, 9, 1);
}

TEST(Launcher, IsNotTheShellOfASlurmAllocation) {
  // salloc's shell on the node where it was called, and a batch script.
  ExpectLaunch({{"SLURM_NTASKS", "16"}, {"SLURM_JOB_ID", "77"}}, 1, 0, 0);
  ExpectLaunch({{"SLURM_NTASKS", "16"}, {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}}, 1, 0, 0);
  // salloc's shell on a node of the allocation, and a batch script, as steps of Slurm's own.
  for (const char* step : {"4294967290", "4294967291"}) {
    ExpectLaunch({{"SLURM_STEP_ID", step}, {"SLURM_NTASKS", "16"}, {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}}, 1, 0,
                 0);
  }
}

TEST(Launcher, IsTheInnermost) {
  // mpirun, which starts its helpers with srun.
  ExpectLaunch({{"OMPI_COMM_WORLD_SIZE", "8"},
                {"OMPI_COMM_WORLD_RANK", "6"},
                {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
                {"SLURM_STEP_ID", "0"},
                {"SLURM_NTASKS", "2"},
                {"SLURM_PROCID", "1"},
                {"SLURM_LOCALID", "0"}},
               8, 6, 2);
}

TEST(Launcher, MustSayWhatMakesSense) {
  ExpectParts(ErrorOf<CommError>([] { Read({{"OMPI_COMM_WORLD_SIZE", "8"}}); }), {"OMPI_COMM_WORLD_RANK"});
  ExpectParts(ErrorOf<CommError>([] {
                Read({{"OMPI_COMM_WORLD_SIZE", "two"}, {"OMPI_COMM_WORLD_RANK", "0"}});
              }),
              {"OMPI_COMM_WORLD_SIZE", "\"two\""});
  ExpectParts(ErrorOf<CommError>([] {
                Read({{"PMI_SIZE", "4"}, {"PMI_RANK", "4"}});
              }),
              {"PMI_RANK", "\"4\"", "from 0 to 3"});
  ExpectParts(ErrorOf<CommError>([] { Read({{"PMI_SIZE", "0"}, {"PMI_RANK", "0"}}); }), {"PMI_SIZE", "from 1"});
  ExpectParts(ErrorOf<CommError>([] { Read({{"PMI_SIZE", "99999999999"}, {"PMI_RANK", "0"}}); }), {"PMI_SIZE"});
  ExpectParts(ErrorOf<CommError>([] { Read({{"PMI_SIZE", "2"}, {"PMI_RANK", "1 "}}); }), {"PMI_RANK", "\"1 \""});
  ExpectParts(ErrorOf<CommError>([] {
                Read({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}, {"MPI_LOCALRANKID", ""}});
              }),
              {"MPI_LOCALRANKID", "\"\""});
}

TEST(WaitLimit, IsThatOfTheEnvironment) {
  const auto read = [](const Variables& variables) { return ReadWaitLimit(EnvironmentOf(variables)); };
  EXPECT_EQ(read({}).end, 1800.0);
  EXPECT_EQ(read({}).warning, 60.0);
  EXPECT_EQ(read({{"COAT_RANK_TIMEOUT", "7200"}}).end, 7200.0);
  EXPECT_EQ(read({{"COAT_RANK_TIMEOUT", "7200"}}).warning, 60.0);
  EXPECT_EQ(read({{"COAT_RANK_TIMEOUT", "2.5"}}).warning, 1.25);
  for (const char* text : {"", "0", "-1", "1h", "inf", "nan"}) {
    ExpectParts(ErrorOf<UsageError>([&] {
                  read({{"COAT_RANK_TIMEOUT", text}});
                }),
                {"COAT_RANK_TIMEOUT is \"" + std::string(text) + "\"", "above 0"});
  }
}

}  // namespace
}  // namespace coat
