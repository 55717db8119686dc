#include "cuda/gemm/gemm_tuning.h"

#include <fmt/core.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace coat::cuda {

namespace {

using Json = nlohmann::json;

constexpr int kHexDigits = 16;  // of a word

std::string ToHex(const std::array<std::uint64_t, 8>& words) {
  std::string text;
  for (const std::uint64_t word : words) text += fmt::format("{:016x}", word);
  return text;
}

std::array<std::uint64_t, 8> FromHex(const std::string& text) {
  std::array<std::uint64_t, 8> words = {};
  bool good = text.size() == words.size() * kHexDigits;
  for (std::size_t i = 0; good && i < words.size(); ++i) {
    const char* begin = text.data() + i * kHexDigits;
    const auto [end, error] = std::from_chars(begin, begin + kHexDigits, words[i], 16);
    good = error == std::errc() && end == begin + kHexDigits;
  }
  if (!good) throw IoError(fmt::format("tuned products: `{}` is not an algorithm of 128 hexadecimal digits", text));
  return words;
}

}  // namespace

std::string ProductKey::ToString() const {
  constexpr std::string_view kLayouts[] = {"NT", "NN", "TN"};
  return fmt::format("{}x{}x{} {} {} {}{} {}{}{} {},{},{}", shape.m, shape.n, shape.k, a.ToString(), b.ToString(),
                     NameOf(d), accumulate ? "+=" : "", kLayouts[static_cast<int>(layout)],
                     fast_accumulation ? " fast" : "", device_factors ? " factors" : "", alignments[0], alignments[1],
                     alignments[2]);
}

int AlignmentOf(const void* address) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  for (const int alignment : {256, 16, 8, 4, 2}) {
    if (value % static_cast<unsigned>(alignment) == 0) return alignment;
  }
  return 1;
}

Choice Choose(std::span<const TimedAlgorithm> timed, bool other_bits) {
  constexpr double kGain = 0.03;
  constexpr double kMilliseconds = 0.005;
  Choice choice;
  std::size_t fastest = 0;
  for (std::size_t i = 1; i < timed.size(); ++i) {
    const double time = timed[i].milliseconds;
    if (time < timed[fastest].milliseconds) fastest = i;
    if (timed[i].bits == timed[0].bits && time < timed[choice.reference].milliseconds) choice.reference = i;
  }
  const double reference = timed[choice.reference].milliseconds;
  const double gain = reference - timed[fastest].milliseconds;
  choice.taken = other_bits && gain > kGain * reference && gain > kMilliseconds ? fastest : choice.reference;
  return choice;
}

std::string Describe(const TuningReport& report) {
  if (report.products.empty()) return "";
  int other_bits = 0;
  int by_row = 0;
  double saved = 0.0;
  double total = 0.0;
  auto slowest = report.products.begin();
  for (auto product = report.products.begin(); product != report.products.end(); ++product) {
    const TunedProduct& tuned = product->second;
    total += tuned.milliseconds;
    saved += tuned.reference_milliseconds - tuned.milliseconds;
    if (tuned.milliseconds < tuned.reference_milliseconds) ++other_bits;
    if (tuned.scales_by_row) ++by_row;
    if (tuned.milliseconds > slowest->second.milliseconds) slowest = product;
  }
  std::string text = fmt::format("{} matrix products: {} timed in {:.1f} s, {} imported; once each they take {:.2f} ms",
                                 report.products.size(), static_cast<int>(report.products.size()) - report.imported,
                                 report.seconds, report.imported, total);
  if (other_bits > 0) {
    text += fmt::format("; {} with other bits than the library's first choice, faster by {:.2f} ms", other_bits, saved);
  }
  if (by_row > 0) text += fmt::format("; {} with scales by row", by_row);
  text += fmt::format("; the slowest, {:.2f} ms, is {}", slowest->second.milliseconds, slowest->first);
  if (!report.refused.empty()) text += "; timed anew, since the library does not take their imported algorithms";
  for (const std::string& product : report.refused) text += "; " + product;
  return text;
}

std::string ToJson(const Tuning& tuning) {
  Json products = Json::object();
  for (const auto& [key, product] : tuning.products) {
    products[key] = {{"algorithm", ToHex(product.algorithm)},
                     {"scales_by_row", product.scales_by_row},
                     {"milliseconds", product.milliseconds},
                     {"reference_milliseconds", product.reference_milliseconds},
                     {"algorithms", product.algorithms}};
  }
  return Json{{"device", tuning.device}, {"cublaslt", tuning.library}, {"products", products}}.dump(1);
}

Tuning TuningFromJson(std::string_view text) {
  Tuning tuning;
  try {
    const Json json = Json::parse(text);
    tuning.device = json.at("device").get<std::string>();
    tuning.library = json.at("cublaslt").get<std::uint64_t>();
    for (const auto& [key, product] : json.at("products").items()) {
      tuning.products[key] = {.algorithm = FromHex(product.at("algorithm").get<std::string>()),
                              .scales_by_row = product.at("scales_by_row").get<bool>(),
                              .milliseconds = product.at("milliseconds").get<double>(),
                              .reference_milliseconds = product.at("reference_milliseconds").get<double>(),
                              .algorithms = product.at("algorithms").get<int>()};
    }
  } catch (const Json::exception& error) {
    throw IoError(fmt::format("tuned products are not as this program writes them: {}", error.what()));
  }
  return tuning;
}

}  // namespace coat::cuda
