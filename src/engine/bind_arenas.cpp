#include "engine/bind_arenas.h"

#include <memory>
#include <new>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/number_text.h"
#include "base/system_memory.h"
#include "comm/agreement.h"
#include "comm/solo.h"
#include "engine/rank_machines.h"

namespace coat {

namespace {

/// What kernels, when they are first started, and recorded steps take of a GPU's memory: 150 MiB were seen.
constexpr std::int64_t kKernelBytes = 256 << 20;

/// What a run needs: the plan's arenas and what grows beside them.
class Needs {
 public:
  Needs(const MemoryPlan& plan, std::int64_t workspace_growth, std::int64_t kernels) {
    for (const MemoryPlan::Line& line : plan.categories) Add(line.name, line.bytes);
    Add("workspace", workspace_growth);
    Add("kernels", kernels);
  }

  std::int64_t total() const { return total_; }
  [[noreturn]] void ThrowOutOfMemory(const std::string& found, std::string_view advice) const {
    throw Error(fmt::format("this run needs {} of memory and {}:{}\n{}", InBinaryUnits(total_), found, table_, advice));
  }

 private:
  void Add(std::string_view name, std::int64_t bytes) {
    if (bytes <= 0) return;
    total_ += bytes;
    table_ += fmt::format("\n  {:10} {:>12}", name, InBinaryUnits(bytes));
  }

  std::int64_t total_ = 0;
  std::string table_;
};

/// The kernel gives memory that it has not, and ends the process that uses it.
void RequireSystemMemory(const Needs& needs, std::string_view advice, Communicator& ranks) {
  // Before any rank takes what it needs, which would be missing here.
  const std::optional<std::int64_t> available = AvailableMemory();
  const MachineSum machine = SumOnMachine(ranks, needs.total());
  Together(ranks, [&] {
    if (!available || machine.total <= *available) return;
    std::string found = fmt::format("the system has {} available", InBinaryUnits(*available));
    if (machine.ranks > 1) {
      found = fmt::format("its machine's {} ranks need {} together, and {}", machine.ranks,
                          InBinaryUnits(machine.total), found);
    }
    needs.ThrowOutOfMemory(found, advice);
  });
}

}  // namespace

RunArenas MeasuringArenas() {
  return {Arena::Measuring("masters"), Arena::Measuring("gradients"), Arena::Measuring("weights"),
          Arena::Measuring("moments"), Arena::Measuring("metadata"),  Arena::Measuring("saved"),
          Arena::Measuring("batch"),   Arena::Measuring("scratch"),   Arena::Measuring("exchange")};
}

RunArenas BoundArenas(const MemoryPlan& plan, const Context& ctx, std::int64_t workspace_growth,
                      std::string_view advice, Communicator* ranks) {
  const Needs needs(plan, workspace_growth, ctx.backend() ? kKernelBytes : 0);
  if (ctx.backend()) {
    const Device::Memory memory = ctx.backend()->ReadMemory();
    if (needs.total() > memory.free_bytes) {
      needs.ThrowOutOfMemory(fmt::format("{} has {} free of {}", ctx.backend()->Name(),
                                         InBinaryUnits(memory.free_bytes), InBinaryUnits(memory.total_bytes)),
                             advice);
    }
  } else {
    const std::unique_ptr<Communicator> alone = ranks == nullptr ? MakeSolo() : nullptr;
    RequireSystemMemory(needs, advice, ranks == nullptr ? *alone : *ranks);
  }
  try {
    const auto bound = [&](const char* name) { return Arena::Bound(name, ctx, plan.Bytes(name)); };
    return {bound("masters"), bound("gradients"), bound("weights"), bound("moments"), bound("metadata"),
            bound("saved"),   bound("batch"),     bound("scratch"), bound("exchange")};
  } catch (const std::bad_alloc&) {
    needs.ThrowOutOfMemory(ctx.backend() ? "the driver does not give it" : "the system does not give it", advice);
  }
}

}  // namespace coat
