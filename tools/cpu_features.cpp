#include "tools/cpu_features.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

namespace coat {

namespace {

// As in /proc/cpuinfo.
constexpr std::array<std::string_view, 14> kFeatures = {
    "avx",      "avx2",     "fma",      "f16c",       "bmi2",        "avx512f",     "avx512bw",
    "avx512cd", "avx512dq", "avx512vl", "avx512vbmi", "avx512_bf16", "avx512_fp16", "amx_bf16"};

/// Those that the compiler was allowed to use.
std::vector<std::string_view> UsedFeatures() {
  std::vector<std::string_view> used;
#ifdef __AVX__
  used.push_back("avx");
#endif
#ifdef __AVX2__
  used.push_back("avx2");
#endif
#ifdef __FMA__
  used.push_back("fma");
#endif
#ifdef __F16C__
  used.push_back("f16c");
#endif
#ifdef __BMI2__
  used.push_back("bmi2");
#endif
#ifdef __AVX512F__
  used.push_back("avx512f");
#endif
#ifdef __AVX512BW__
  used.push_back("avx512bw");
#endif
#ifdef __AVX512CD__
  used.push_back("avx512cd");
#endif
#ifdef __AVX512DQ__
  used.push_back("avx512dq");
#endif
#ifdef __AVX512VL__
  used.push_back("avx512vl");
#endif
#ifdef __AVX512VBMI__
  used.push_back("avx512vbmi");
#endif
#ifdef __AVX512BF16__
  used.push_back("avx512_bf16");
#endif
  return used;
}

/// The value of the first line "name : value".
std::string ValueOf(const std::string& cpuinfo, std::string_view name) {
  std::istringstream lines(cpuinfo);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(name)) continue;
    if (line.find_first_not_of(" \t", name.size()) != colon) continue;
    const std::size_t begin = line.find_first_not_of(' ', colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

}  // namespace

CpuDescription DescribeCpu(const std::string& cpuinfo) {
  CpuDescription cpu;
  if (const std::string model = ValueOf(cpuinfo, "model name"); !model.empty()) cpu.model = model;
  std::istringstream words(ValueOf(cpuinfo, "flags"));
  const std::vector<std::string> flags{std::istream_iterator<std::string>(words), {}};
  if (flags.empty()) return cpu;
  const auto is_there = [&](std::string_view feature) {
    return std::find(flags.begin(), flags.end(), feature) != flags.end();
  };
  for (const std::string_view feature : kFeatures) {
    if (is_there(feature)) cpu.has.emplace_back(feature);
  }
  for (const std::string_view feature : UsedFeatures()) {
    if (!is_there(feature)) cpu.missing.emplace_back(feature);
  }
  return cpu;
}

CpuDescription DescribeCpu() {
  std::ifstream file("/proc/cpuinfo");
  return DescribeCpu(std::string{std::istreambuf_iterator<char>(file), {}});
}

}  // namespace coat
