#include "plan/network.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

#include "base/error.h"

namespace coat {

namespace {

constexpr double kGiga = 1e9;
constexpr double kMicro = 1e-6;

// Shares that collectives reach. NVLink: 222 of 450 GB/s between two H200 while no layer runs, in gathers of 206 MB and
// sums of 412 MB (docs/performance.md); more GPUs were not measured. InfiniBand: 46 of 50 GB/s, which a maintainer of
// NCCL calls usual (NVIDIA/nccl-tests issue 290). PCIe: a guess.
constexpr double kNvlinkReached = 0.49;
constexpr double kNetworkReached = 0.92;
constexpr double kPcieReached = 0.75;
// NCCL's src/graph/tuning.cc: rings, protocol LL128.
constexpr double kCollective = 10.0 * kMicro;
constexpr double kNvlinkStep = 1.9 * kMicro;
constexpr double kPcieStep = 2.5 * kMicro;
constexpr double kNetworkStep = 4.0 * kMicro;

constexpr const char* kAccepted =
    "nvlink, pcie, ib400, ib200, or two numbers such as 450,50: GB/s for each GPU within and between nodes";

Link NvlinkOf(double bytes) {
  return {bytes, kNvlinkReached, kNvlinkStep};
}

Link NetworkOf(double bytes) {
  return {bytes, kNetworkReached, kNetworkStep};
}

/// A positive number that is all of `text`.
std::optional<double> Positive(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool all = error == std::errc() && end == text.data() + text.size();
  if (!all || !(value > 0.0) || value == std::numeric_limits<double>::infinity()) return std::nullopt;
  return value;
}

/// Where the ranks of a communicator are.
struct Placement {
  int nodes = 1;
  int in_node = 1;  // ranks of the communicator in a node
  int cards = 1;    // of the node that has the fewest
};

Placement PlacementOf(const RankSet& ranks, int group, int gpus_per_node) {
  const int first = group / ranks.stride * ranks.size * ranks.stride + group % ranks.stride;
  std::map<int, int> in_node;
  for (int i = 0; i < ranks.size; ++i) ++in_node[(first + i * ranks.stride) / gpus_per_node];
  const auto fewer = [](const auto& x, const auto& y) { return x.second < y.second; };
  const auto [fewest, most] = std::minmax_element(in_node.begin(), in_node.end(), fewer);
  return {.nodes = static_cast<int>(in_node.size()), .in_node = most->second, .cards = fewest->second};
}

/// `rounds` times around the ring of a group.
double RingSeconds(double bytes, int rounds, const RankSet& ranks, int group, const Interconnect& interconnect) {
  const Placement place = PlacementOf(ranks, group, interconnect.gpus_per_node);
  double rate = std::numeric_limits<double>::infinity();
  if (place.in_node > 1) rate = interconnect.inside.Rate();
  double steps = (ranks.size - place.nodes) * interconnect.inside.latency;
  if (place.nodes > 1) {
    COAT_REQUIRE(interconnect.between.has_value(), "{} ranks on one node", ranks.size);
    rate = std::min(rate, place.cards * interconnect.between->Rate());
    steps += (place.nodes - 1) * interconnect.between->latency;
  }
  const double size = ranks.size;
  return kCollective + rounds * (steps + bytes * (size - 1.0) / size / rate);
}

double SlowestRing(double bytes, int rounds, const RankSet& ranks, const Interconnect& interconnect) {
  double slowest = 0.0;
  for (int group = 0; group < ranks.groups && ranks.size > 1; ++group) {
    slowest = std::max(slowest, RingSeconds(bytes, rounds, ranks, group, interconnect));
  }
  return slowest;
}

}  // namespace

Interconnect FindInterconnect(std::string_view text, const Gpu& gpu, int gpus_per_node) {
  Interconnect found{.name = std::string(text.empty() ? gpu.network : text),
                     .gpus_per_node = gpus_per_node,
                     .inside = NvlinkOf(gpu.nvlink_bytes),
                     .between = std::nullopt};
  if (found.name == "nvlink") return found;
  if (found.name == "pcie") {
    found.inside = {gpu.pcie_bytes, kPcieReached, kPcieStep};
    return found;
  }
  if (found.name == "ib400" || found.name == "ib200") {
    found.between = NetworkOf((found.name == "ib400" ? 50.0 : 25.0) * kGiga);
    return found;
  }
  const std::size_t comma = text.find(',');
  const std::optional<double> inside = Positive(text.substr(0, comma));
  const std::optional<double> between =
      comma == std::string_view::npos ? std::nullopt : Positive(text.substr(comma + 1));
  if (!inside || !between) throw UsageError(fmt::format("--interconnect is {}; accepted: {}", text, kAccepted));
  found.inside = NvlinkOf(*inside * kGiga);
  found.between = NetworkOf(*between * kGiga);
  return found;
}

double GatherSeconds(double bytes, const RankSet& ranks, const Interconnect& interconnect) {
  return SlowestRing(bytes, 1, ranks, interconnect);
}

double AllReduceSeconds(double bytes, const RankSet& ranks, const Interconnect& interconnect) {
  return SlowestRing(bytes, 2, ranks, interconnect);
}

}  // namespace coat
