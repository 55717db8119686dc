#include <fmt/format.h>
#include <unistd.h>

#include "base/thread_pool.h"
#include "config/text.h"
#include "cpu/blas.h"
#include "engine/compute_device.h"
#include "tools/build_information.h"
#include "tools/commands.h"
#include "tools/cpu_features.h"
#include "tools/output.h"

namespace coat {

namespace {

double MemoryInGibibytes() {
  const double pages = static_cast<double>(::sysconf(_SC_PHYS_PAGES));
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 30);
}

}  // namespace

int RunInfoCommand() {
  const BuildInformation build = DescribeBuild();
  const CpuDescription cpu = DescribeCpu();
  Print(fmt::format("coat       {}, commit {}\n", build.version, GitCommit()));
  Print(fmt::format("build      {} by {}, -march={}\n", build.build_type, build.compiler, build.cpu_architecture));
  Print(fmt::format("gpu        {}\n", DescribeCudaDevice()));
  Print(fmt::format("cpu        {}, {} threads\n", cpu.model, ThreadPool().size()));
  Print(fmt::format("features   {}\n", Joined(cpu.has, " ")));
  Print(fmt::format("memory     {:.1f} GiB\n", MemoryInGibibytes()));
  Print(fmt::format("blas       {}\n", cpu::BlasDescription()));
  if (const std::string advice = cpu::BlasAdvice(); !advice.empty()) Print(fmt::format("           {}\n", advice));
  Print(fmt::format("libraries  yaml-cpp {}, fmt {}, nlohmann-json {}, CLI11 {}, zlib {}\n", build.yaml_cpp_version,
                    build.fmt_version, build.nlohmann_json_version, build.cli11_version, build.zlib_version));
  return kExitSuccess;
}

}  // namespace coat
