// Loops on the threads of libtorch's own operations.
#ifndef SURPRISAL_TENSOR_PARALLEL_H
#define SURPRISAL_TENSOR_PARALLEL_H
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>

namespace parallel {

// Calls work once on each thread, concurrently. An exception of one is thrown after all have ended.
void on_threads(const std::function<void()> &work);

// Calls f(begin, end) for parts of 0 to n of at most grain. Each free thread takes the next part: parts may differ in
// cost, and the processor may have other work.
template <class F> void each(int64_t n, int64_t grain, F f) {
  if (n <= grain) {
    if (n > 0) {
      f(static_cast<int64_t>(0), n);
    }
    return;
  }
  std::atomic<int64_t> next(0);
  on_threads([&] {
    for (int64_t begin; (begin = next.fetch_add(grain)) < n;) {
      f(begin, std::min(n, begin + grain));
    }
  });
}

} // namespace parallel

#endif
