// One job at a time is offered to all workers. Its tasks are dealt out in runs, one for each worker, who helps with the others'
// when its own is done: what one step of a program wrote is then mostly in the cache of the core that reads it in the next.
// Tasks are claimed by compare-and-swap on a run's ticket, which holds the job's number beside the next task, so a worker
// that wakes late can never touch a later job's tasks, and the caller waits for claimed tasks only, never for a sleeping worker.
#include "pool.h"

#if defined(__wasm__)
#else
#include <stdlib.h>
#if !defined(CHAINRULE_NO_THREADS)
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#endif
#endif

namespace chainrule {

namespace {

struct Scratch {
  void* memory = nullptr;
  size_t size = 0;

  void* grow(size_t bytes) {
    if (bytes > size) {
      engine_free(memory);
      size = bytes + bytes / 4;                    // requests that creep up do not move it every time
      memory = engine_alloc(size);
    }
    return memory;
  }
};

void run_inline(int64_t tasks, void (*body)(void*, int64_t, int), void* ctx, int worker) {
  for (int64_t task = 0; task < tasks; ++task) body(ctx, task, worker);
}

}  // namespace

#if !defined(__wasm__)
void* engine_alloc(size_t bytes) { return aligned_alloc(64, (bytes + 64 + 63) / 64 * 64); }
void engine_free(void* memory) { free(memory); }
#endif

#if defined(CHAINRULE_NO_THREADS)

void parallel_for(int64_t tasks, void (*body)(void*, int64_t, int), void* ctx) { run_inline(tasks, body, ctx, 0); }
int pool_this_worker() { return 0; }
void pool_set_threads(int) {}
int pool_threads() { return 1; }
void* pool_scratch(int, size_t bytes, ScratchSlot slot) {
  static Scratch scratch[SCRATCH_SLOTS];
  return scratch[slot].grow(bytes);
}

#else

namespace {

typedef void (*Body)(void*, int64_t, int);

// Written by the caller while the ticket is closed, read by workers between two looks at the ticket.
struct Job {
  Body body;
  void* ctx;
  int64_t tasks, chunk;
  int runs;
};

struct alignas(64) Run {                           // each alone on its cache line
  uint64_t ticket;                                 // job number << 32 | next chunk
  int64_t end;                                     // of its chunks
};
Run runs[MAX_THREADS];
alignas(64) uint64_t done;                         // chunks of this job that are finished
alignas(64) uint32_t wake;                         // changes with every job: what sleepers wait on
alignas(64) uint64_t sleepers;
constexpr uint32_t CLOSED = 0xffffffffu;

Job job;
int threads = 0;                                   // 0: not decided yet

template <class V> V get(const V& x) { return __atomic_load_n(&x, __ATOMIC_SEQ_CST); }
template <class V> V peek(const V& x) { return __atomic_load_n(&x, __ATOMIC_RELAXED); }
template <class V> void set(V& x, V value) { __atomic_store_n(&x, value, __ATOMIC_SEQ_CST); }

// Takes chunks of a run until none is left.
void work_on(Run& run, int worker) {
  uint64_t seen = get(run.ticket);
  for (;;) {
    const Body body = peek(job.body);
    void* const ctx = peek(job.ctx);
    const int64_t tasks = peek(job.tasks), each = peek(job.chunk), chunk = int64_t(seen & 0xffffffffu);
    if (uint32_t(seen) == CLOSED || chunk >= peek(run.end)) return;
    if (!__atomic_compare_exchange_n(&run.ticket, &seen, seen + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
    const int64_t first = chunk * each, end = first + each < tasks ? first + each : tasks;
    for (int64_t task = first; task < end; ++task) body(ctx, task, worker);
    __atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
    seen = get(run.ticket);
  }
}

// Takes part in the job offered now: first in the worker's own run.
void work(int worker) {
  const int count = peek(job.runs);                // of another job, if this one is over: then its runs are closed, or worth a look
  for (int i = 0; i < count; ++i) work_on(runs[(worker + i) % count], worker);
}

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

#if defined(__wasm__)

constexpr int SPINS = 20000;                       // there is no clock: about 50 us
// In a function of its own: V8 before 12 (Node 20) forgets what a function holds in registers while it waits.
__attribute__((noinline)) void sleep_while(uint32_t old) {
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int*>(&wake), int(old), -1);
}
void wake_all() { __builtin_wasm_memory_atomic_notify(reinterpret_cast<int*>(&wake), 0x7fffffffu); }
bool still_spinning(int spins, uint64_t) { return spins < SPINS; }
uint64_t now_ns() { return 0; }
void yield() {}

// A worker is known by its stack: the one whose entry frame lies nearest above. Saves thread-local storage.
uintptr_t stackTop[MAX_THREADS];
bool running = false;                              // a job is offered: a call now comes from inside a body
int this_worker() {
  const uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  int best = 0;
  for (int i = 0; i < MAX_THREADS; ++i) {
    const uintptr_t top = peek(stackTop[i]);
    if (top >= here && (peek(stackTop[best]) < here || top < peek(stackTop[best]))) best = i;
  }
  return best;
}
bool enter(int& worker) {
  worker = running ? this_worker() : 0;
  if (running) return false;
  stackTop[0] = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  return running = true;
}
void leave() { running = false; }
int default_threads() { return 1; }
void start_workers(int) {}

#else

// A worker waits awake through what comes between two steps, a collection of garbage too; soon it lets others go first. Waking one that sleeps
// costs the caller 10 to 20 us in a virtual machine, and the system may put it behind the caller, on one core, where it waits for milliseconds.
constexpr uint64_t SPIN_NS = 2'000'000, ALONE_NS = 50'000;
std::atomic<uint32_t>& wake_word() { return *reinterpret_cast<std::atomic<uint32_t>*>(&wake); }
void sleep_while(uint32_t old) { wake_word().wait(old); }
void wake_all() { wake_word().notify_all(); }
uint64_t now_ns() {
  return uint64_t(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}
void yield() { std::this_thread::yield(); }
bool still_spinning(int spins, uint64_t start) {
  if (spins % 64 != 63) return true;
  const uint64_t waited = now_ns() - start;
  if (waited > ALONE_NS) yield();
  return waited < SPIN_NS;
}

thread_local int currentWorker = -1;               // -1: a thread of the user's
std::mutex& callers() {
  static std::mutex* const mutex = new std::mutex;   // never destroyed: workers may outlive static destructors
  return *mutex;
}
// Several of the user's threads may call at once; while one has the pool, the others do their work alone.
bool enter(int& worker) {
  worker = currentWorker < 0 ? 0 : currentWorker;
  if (currentWorker >= 0 || !callers().try_lock()) return false;
  currentWorker = 0;
  return true;
}
void leave() {
  currentWorker = -1;
  callers().unlock();
}
int default_threads() {
  const int cores = int(std::thread::hardware_concurrency());
  return cores < 1 ? 1 : cores > MAX_THREADS ? MAX_THREADS : cores;
}

#endif

[[noreturn]] void serve(int id) {
  uint32_t seen = get(wake);
  for (;;) {
    const uint64_t start = now_ns();
    for (int spins = 0; peek(wake) == seen && still_spinning(spins, start); ++spins) pause();
    if (peek(wake) == seen) {
      __atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
      if (get(wake) == seen) sleep_while(seen);
      __atomic_fetch_sub(&sleepers, 1, __ATOMIC_SEQ_CST);
    }
    seen = get(wake);
    if (id < get(threads)) work(id);
  }
}

#if !defined(__wasm__)
// Detached: they sleep in the kernel or spin on globals without destructors, so the process may exit at any moment.
void start_workers(int count) {
  static int started = 1;
  for (; started < count; ++started)
    std::thread([id = started] {
      currentWorker = id;
      serve(id);
    }).detach();
}
#endif

void close_runs(int count, uint64_t number) {
  for (int i = 0; i < count; ++i) set(runs[i].ticket, (number << 32) | CLOSED);
}

void offer(int64_t tasks, Body body, void* ctx) {
  static uint64_t number = 0;
  number = (number + 1) & 0xffffffffu;
  const int64_t each = tasks / 0x40000000 + 1, chunks = (tasks + each - 1) / each;    // a ticket counts to 2^32
  const int workers = get(threads), count = chunks < workers ? int(chunks) : workers;
  set(job.body, body), set(job.ctx, ctx), set(job.tasks, tasks), set(job.chunk, each), set(job.runs, count), set(done, uint64_t(0));
  for (int i = 0; i < count; ++i) set(runs[i].end, chunks * (i + 1) / count);
  for (int i = 0; i < count; ++i) set(runs[i].ticket, (number << 32) | uint64_t(chunks * i / count));
  __atomic_fetch_add(&wake, 1, __ATOMIC_SEQ_CST);
  if (get(sleepers) > 0) wake_all();
  work(0);
  for (int spins = 0; get(done) != uint64_t(chunks); ++spins) spins < 4000 ? pause() : yield();
  close_runs(count, number);
}

}  // namespace

void pool_set_threads(int count) { set(threads, count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : count); }

int pool_threads() {
  if (get(threads) == 0) pool_set_threads(default_threads());
  return get(threads);
}

#if defined(__wasm__)
int pool_this_worker() { return running ? this_worker() : 0; }
#else
int pool_this_worker() { return currentWorker < 0 ? 0 : currentWorker; }
#endif

void parallel_for(int64_t tasks, Body body, void* ctx) {
  int worker;
  if (tasks <= 1 || pool_threads() == 1 || !enter(worker)) return run_inline(tasks, body, ctx, pool_this_worker());
  start_workers(pool_threads());
  offer(tasks, body, ctx);
  leave();
}

#if defined(__wasm__)
void* pool_scratch(int worker, size_t bytes, ScratchSlot slot) {
  static Scratch scratch[MAX_THREADS][SCRATCH_SLOTS];
  return scratch[worker][slot].grow(bytes);
}
#else
// Owned by the thread, not by the number: two of the user's threads are both worker 0.
void* pool_scratch(int, size_t bytes, ScratchSlot slot) {
  struct Owned {
    Scratch slots[SCRATCH_SLOTS];
    ~Owned() { for (Scratch& s : slots) engine_free(s.memory); }
  };
  thread_local Owned owned;
  return owned.slots[slot].grow(bytes);
}
#endif

#endif

}  // namespace chainrule

#if defined(__wasm__)
extern "C" {
#if defined(CHAINRULE_NO_THREADS)
void* pool_stack(int) { return nullptr; }
void pool_worker(int) {}
#else
constexpr size_t WORKER_STACK = 256 * 1024;
void* pool_stack(int) { return static_cast<char*>(chainrule::engine_alloc(WORKER_STACK)) + WORKER_STACK; }
void pool_worker(int id) {
  chainrule::stackTop[id] = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  chainrule::serve(id);
}
#endif
}
#endif
