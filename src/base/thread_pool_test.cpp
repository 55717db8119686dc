#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "base/context.h"

namespace coat {
namespace {

TEST(ThreadPool, CallsTheBodyOnceForEveryIndex) {
  ThreadPool pool(4);
  for (const std::int64_t count : {0, 1, 3, 4, 1000}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      pool.Run(count, [&](std::int64_t index, int worker) {
        ASSERT_GE(worker, 0);
        ASSERT_LT(worker, 4);
        calls[static_cast<std::size_t>(index)].fetch_add(1);
      });
      for (const auto& n : calls) ASSERT_EQ(n.load(), 1);
    }
  }
}

TEST(ThreadPool, CarriesAnExceptionToTheCallerAndStaysUsable) {
  ThreadPool pool(3);
  EXPECT_THROW(pool.Run(100,
                        [](std::int64_t index, int) {
                          if (index == 42) throw std::runtime_error("42");
                        }),
               std::runtime_error);
  std::atomic<int> calls{0};
  pool.Run(100, [&](std::int64_t, int) { calls.fetch_add(1); });
  EXPECT_EQ(calls.load(), 100);
}

TEST(ThreadPool, KeepsLoopsApartWithMoreThreadsThanCores) {
  // A thread that comes late, when the loop that it was asked for is over, must touch neither that one nor the next.
  ThreadPool pool(16);
  for (int round = 0; round < 5000; ++round) {
    const std::int64_t count = 1 + round % 40;
    std::vector<std::int64_t> squares(static_cast<std::size_t>(count), -1);
    pool.Run(count, [&](std::int64_t index, int) { squares[static_cast<std::size_t>(index)] = index * index; });
    for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(squares[static_cast<std::size_t>(i)], i * i);
  }
}

TEST(Context, SplitsIntoBlocksThatCoverTheRange) {
  Context ctx(DeviceKind::kCpu, 2);
  std::vector<std::atomic<int>> seen(103);
  ctx.ParallelBlocks(103, 10, [&](std::int64_t begin, std::int64_t end) {
    ASSERT_EQ(begin % 10, 0);
    ASSERT_LE(end - begin, 10);
    for (std::int64_t i = begin; i < end; ++i) seen[static_cast<std::size_t>(i)].fetch_add(1);
  });
  for (const auto& n : seen) EXPECT_EQ(n.load(), 1);
}

}  // namespace
}  // namespace coat
