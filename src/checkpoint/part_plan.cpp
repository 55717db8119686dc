#include "checkpoint/part_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "checkpoint/checksum.h"
#include "checkpoint/quoted.h"
#include "comm/packed.h"

namespace coat {

namespace {

using Parts = std::vector<std::pair<std::int64_t, std::int64_t>>;  // first element and count

/// Of names, types and shapes: equal on all ranks.
std::uint32_t ChecksumOf(std::span<const StatePart> tensors) {
  std::string text;
  for (const StatePart& tensor : tensors) {
    text += fmt::format("{} {} {}\n", tensor.whole.name, tensor.whole.dtype, ShapeText(tensor.whole.shape));
  }
  return Crc32(std::as_bytes(std::span(text)));
}

struct RankPart {
  Part part;
  int rank = 0;
};

/// Divides a tensor among the ranks that have it, where `held` are in the order of their elements.
std::vector<TensorPart> Divide(const TensorInfo& tensor, std::span<const RankPart> held) {
  std::vector<TensorPart> parts;
  std::int64_t covered = 0;
  const auto require = [&](bool fits, std::string_view problem) {
    COAT_REQUIRE(fits, "tensor {} {}: element {} is {}", Quoted(tensor.name), ShapeText(tensor.shape), covered,
                 problem);
  };
  for (std::size_t begin = 0; begin < held.size();) {
    const Part part = held[begin].part;
    require(part.first <= covered, "on no rank");
    require(part.first == covered, "in two different parts");
    std::size_t end = begin + 1;
    while (end < held.size() && held[end].part == part) ++end;
    const auto sharers = static_cast<int>(end - begin);
    for (int i = 0; i < sharers; ++i) {
      Part piece = PartOf(part.count, SharingUnit(1), i, sharers);
      if (piece.count == 0) continue;
      piece.first += part.first;
      parts.push_back(
          {.file = static_cast<std::size_t>(held[begin + static_cast<std::size_t>(i)].rank), .part = piece});
    }
    covered = part.end();
    begin = end;
  }
  require(covered >= ElementsOf(tensor), "on no rank");
  require(covered == ElementsOf(tensor), "beyond its end");
  return parts;
}

}  // namespace

std::string DescribeParts(std::span<const StatePart> tensors) {
  Parts parts;
  for (const StatePart& tensor : tensors) parts.emplace_back(tensor.part.first, tensor.part.count);
  return Pack(ChecksumOf(tensors), parts);
}

PartPlan PlanParts(const std::vector<std::string>& descriptions, std::span<const StatePart> tensors, int rank) {
  std::vector<Parts> of_ranks;
  std::uint32_t of_first = 0;
  for (const std::string& description : descriptions) {
    auto [checksum, parts] = Unpack<std::uint32_t, Parts>(description);
    if (of_ranks.empty()) of_first = checksum;
    COAT_REQUIRE(checksum == of_first, "rank {} has other tensors than rank 0", of_ranks.size());
    of_ranks.push_back(std::move(parts));
  }
  PartPlan plan;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const StatePart& tensor = tensors[i];
    std::vector<RankPart> held;
    for (std::size_t other = 0; other < of_ranks.size(); ++other) {
      const auto [first, count] = of_ranks[other][i];
      if (count > 0) held.push_back({{.first = first, .count = count}, static_cast<int>(other)});
    }
    std::sort(held.begin(), held.end(), [](const RankPart& a, const RankPart& b) {
      return std::tie(a.part.first, a.part.count, a.rank) < std::tie(b.part.first, b.part.count, b.rank);
    });
    PartedTensor& parted = plan.tensors.emplace_back(PartedTensor{tensor.whole, Divide(tensor.whole, held)});
    const auto own = std::find_if(parted.parts.begin(), parted.parts.end(),
                                  [&](const TensorPart& part) { return part.file == static_cast<std::size_t>(rank); });
    plan.own.push_back(own == parted.parts.end() ? Part{} : own->part);
  }
  return plan;
}

PartIndex IndexOf(const PartPlan& plan, std::string_view file, int ranks) {
  std::vector<bool> writes(static_cast<std::size_t>(ranks));
  for (const PartedTensor& tensor : plan.tensors) {
    for (const TensorPart& part : tensor.parts) writes[part.file] = true;
  }
  PartIndex index = {.files = {}, .tensors = plan.tensors};
  std::vector<std::size_t> file_of_rank(writes.size());
  for (std::size_t rank = 0; rank < writes.size(); ++rank) {
    file_of_rank[rank] = index.files.size();
    if (writes[rank]) index.files.push_back(PartFileName(file, static_cast<int>(rank), ranks));
  }
  for (PartedTensor& tensor : index.tensors) {
    for (TensorPart& part : tensor.parts) part.file = file_of_rank[part.file];
  }
  return index;
}

}  // namespace coat
