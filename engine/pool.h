// Threads and memory shared by all kernels. A kernel never sees how many threads there are: it cuts its output into
// tasks, and a task's result may not depend on who runs it, so results are the same bits for any number of threads.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace chainrule {

// Runs body(ctx, task, worker) for every task in [0, tasks), in any order; returns when all are done.
// `worker` is in [0, pool_threads()); a call from inside a body runs inline, as the worker that makes it.
void parallel_for(int64_t tasks, void (*body)(void* ctx, int64_t task, int worker), void* ctx);

// Threads that take part, the caller included; default: every core (1 in WASM until it is set). At most MAX_THREADS.
constexpr int MAX_THREADS = 64;
void pool_set_threads(int threads);
int pool_threads();

// Scratch memory of one worker, 64-byte aligned, not cleared, grow-only: a larger request moves it and drops its content.
// Slots are independent of each other, so a caller may keep SHARED for data its tasks read while each task uses LOCAL.
enum ScratchSlot { LOCAL, SHARED, EXTRA, BIAS, TURN, SCRATCH_SLOTS };
// A kernel that may itself run inside a task asks for the scratch memory of pool_this_worker().
int pool_this_worker();
void* pool_scratch(int worker, size_t bytes, ScratchSlot slot = LOCAL);

// 64-byte aligned memory. The WASM build brings its own allocator.
void* engine_alloc(size_t bytes);
void engine_free(void* memory);

// The same with a lambda: parallel(tasks, [&](int64_t task, int worker) { ... }).
template <class Body> inline void parallel(int64_t tasks, const Body& body) {
  parallel_for(
      tasks, [](void* ctx, int64_t task, int worker) { (*static_cast<const Body*>(ctx))(task, worker); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace chainrule

#if defined(__wasm__)
extern "C" {
// A worker instance shares the module's memory: set its `__stack_pointer` to pool_stack(id), then call pool_worker(id),
// which does not return. Ids run from 1 to pool_threads() - 1; work goes on without those that have not come yet.
void* pool_stack(int id);
void pool_worker(int id);
}
#endif
