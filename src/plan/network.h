#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "plan/gpu.h"

namespace coat {

/// One kind of connection of a GPU, of one direction.
struct Link {
  double bytes = 0.0;    // a second, by the maker
  double reached = 1.0;  // share of it that large collectives reach
  double latency = 0.0;  // seconds of a step of a ring

  double Rate() const { return bytes * reached; }
};

/// How the GPUs of a run are connected. Each has a network card of its own where there is a network.
struct Interconnect {
  std::string name;  // as the command line says it
  int gpus_per_node = 8;
  Link inside;                  // within a node
  std::optional<Link> between;  // nodes; none: there is one node
};

/// "nvlink": within one node. "pcie": likewise, over PCIe. "ib400", "ib200": NVLink within nodes and 400 or 200 Gb/s
/// for each GPU between them. "450,50": GB/s for each GPU, one direction, within and between nodes, as makers give
/// them; empty: what the maker's own systems of this GPU have. Throws UsageError.
Interconnect FindInterconnect(std::string_view text, const Gpu& gpu, int gpus_per_node);

/// Communicators of `size` ranks each, `stride` apart, that do the same at the same time: `groups` of them. They begin
/// at the ranks 0, 1, ... stride - 1, then behind all of those, and so on.
struct RankSet {
  int size = 1;
  int stride = 1;
  int groups = 1;
};

/// Seconds in which the slowest of `ranks`, which all wait for, gather, or reduce and scatter, tensors of `bytes` in
/// all: each sends (R-1)/R of them around a ring through all ranks, node after node; as many rings as a node has GPUs,
/// each over another network card. The slower of the two connections bounds it, and R-1 steps add their latency. 0 for
/// one rank. After NCCL's own model of its rings (src/graph/tuning.cc).
double GatherSeconds(double bytes, const RankSet& ranks, const Interconnect& interconnect);
/// The same for a sum that all ranks get: twice around.
double AllReduceSeconds(double bytes, const RankSet& ranks, const Interconnect& interconnect);

}  // namespace coat
