#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/error.h"

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

/// Gives every thread that is started so much address space for its stack, for as long as this exists.
class StackBytes {
 public:
  explicit StackBytes(std::size_t bytes) {
    pthread_attr_t attributes;
    pthread_getattr_default_np(&attributes);
    pthread_attr_getstacksize(&attributes, &before_);
    Set(bytes);
  }
  ~StackBytes() { Set(before_); }

 private:
  static void Set(std::size_t bytes) {
    pthread_attr_t attributes;
    pthread_getattr_default_np(&attributes);
    pthread_attr_setstacksize(&attributes, bytes);
    EXPECT_EQ(pthread_setattr_default_np(&attributes), 0);
    pthread_attr_destroy(&attributes);
  }

  std::size_t before_ = 0;
};

/// Lets this process take at most `more` bytes of address space, for as long as this exists.
class AddressSpaceLimit {
 public:
  explicit AddressSpaceLimit(std::uint64_t more) {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    ::getrlimit(RLIMIT_AS, &before_);
    const rlimit limit = {.rlim_cur = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + more,
                          .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  }
  ~AddressSpaceLimit() { ::setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_ = {};
};

std::string FailureToStart(int threads) {
  try {
    const ThreadPool pool(threads);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ThreadPool, SaysWhatToDoWhereNoThreadCanBeStarted) {
  const StackBytes all(std::size_t{1} << 47);  // of the address space of a process
  const std::string message = FailureToStart(2);
  EXPECT_TRUE(message.starts_with("a thread for computing could not be started: ")) << message;
  EXPECT_NE(message.find("--threads"), std::string::npos) << message;
  EXPECT_NE(message.find("ulimit -u"), std::string::npos) << message;
}

TEST(ThreadPool, EndsTheThreadsThatWereStartedBeforeTheOneThatCannotBe) {
  const StackBytes stack(std::size_t{64} << 20);
  const AddressSpaceLimit limit(std::uint64_t{1} << 30);  // less than 64 such stacks, and more than one
  EXPECT_TRUE(FailureToStart(64).starts_with("a thread for computing could not be started: "));
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
