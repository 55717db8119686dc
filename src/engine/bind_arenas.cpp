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

[[noreturn]] void ThrowOutOfMemory(const MemoryPlan& plan, std::int64_t workspace_growth, const std::string& found,
                                   std::string_view advice) {
  std::string table;
  for (const MemoryPlan::Line& line : plan.categories) {
    if (line.bytes > 0) table += fmt::format("\n  {:10} {:>12}", line.name, InBinaryUnits(line.bytes));
  }
  if (workspace_growth > 0) table += fmt::format("\n  {:10} {:>12}", "workspace", InBinaryUnits(workspace_growth));
  throw Error(fmt::format("this run needs {} of memory and {}:{}\n{}", InBinaryUnits(plan.Total() + workspace_growth),
                          found, table, advice));
}

/// The kernel gives memory that it has not, and ends the process that uses it.
void RequireSystemMemory(const MemoryPlan& plan, std::int64_t workspace_growth, std::string_view advice,
                         Communicator& ranks) {
  const std::int64_t own = plan.Total() + workspace_growth;
  // Before any rank takes what it needs, which would be missing here.
  const std::optional<std::int64_t> available = AvailableMemory();
  const MachineSum machine = SumOnMachine(ranks, own);
  Together(ranks, [&] {
    if (!available || machine.total <= *available) return;
    std::string found = fmt::format("the system has {} available", InBinaryUnits(*available));
    if (machine.ranks > 1) {
      found = fmt::format("its machine's {} ranks need {} together, and {}", machine.ranks,
                          InBinaryUnits(machine.total), found);
    }
    ThrowOutOfMemory(plan, workspace_growth, found, advice);
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
  if (ctx.backend()) {
    const Device::Memory memory = ctx.backend()->ReadMemory();
    if (plan.Total() + workspace_growth > memory.free_bytes) {
      ThrowOutOfMemory(plan, workspace_growth,
                       fmt::format("{} has {} free of {}", ctx.backend()->Name(), InBinaryUnits(memory.free_bytes),
                                   InBinaryUnits(memory.total_bytes)),
                       advice);
    }
  } else {
    const std::unique_ptr<Communicator> alone = ranks == nullptr ? MakeSolo() : nullptr;
    RequireSystemMemory(plan, workspace_growth, advice, ranks == nullptr ? *alone : *ranks);
  }
  try {
    const auto bound = [&](const char* name) { return Arena::Bound(name, ctx, plan.Bytes(name)); };
    return {bound("masters"), bound("gradients"), bound("weights"), bound("moments"), bound("metadata"),
            bound("saved"),   bound("batch"),     bound("scratch"), bound("exchange")};
  } catch (const std::bad_alloc&) {
    ThrowOutOfMemory(plan, workspace_growth,
                     ctx.backend() ? "the driver does not give it" : "the system does not give it", advice);
  }
}

}  // namespace coat
