// What gather and scatter share: indices checked, the first bad one kept, rows copied, work cut into tasks.
#pragma once
#include "kernels.h"
#include "pool.h"
#include "vm.h"

namespace chainrule::VARIANT {

namespace {

constexpr int64_t GRAIN = 16384;     // elements of a task, at least

// The first bad index that was met, by its position. Tasks finish in any order, so the earliest one is kept.
struct Bad {
  int64_t position = -1;
  int32_t index = 0;
  char lock = 0;
  void note(int64_t at, int32_t value) {
    while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE)) {}
    if (position < 0 || at < position) position = at, index = value;
    __atomic_clear(&lock, __ATOMIC_RELEASE);
  }
};

// An index as a place in 0 .. size - 1, or -1.
INLINE int64_t place(int32_t index, int32_t size, bool wrap) {
  const int64_t i = wrap && index < 0 ? int64_t(index) + size : index;
  return i >= 0 && i < size ? i : -1;
}

typedef void (*Range)(const void* what, int64_t first, int64_t end);

// range(what, first, end) for all items, cut into tasks of `elements` in total.
void run_tasks(int64_t items, int64_t elements, const void* what, Range range) {
  int64_t tasks = elements / GRAIN;
  const int64_t most = 4 * int64_t(pool_threads());
  if (tasks > most) tasks = most;
  if (tasks > items) tasks = items;
  if (tasks < 2 || most == 4) return range(what, 0, items);
  parallel(tasks, [&](int64_t i, int) { range(what, items * i / tasks, items * (i + 1) / tasks); });
}

INLINE void copy_row(const char* from, char* to, int64_t bytes) {
  if (bytes >= 64) {
    __builtin_memcpy(to, from, bytes);
    return;
  }
  for (; bytes >= 8; from += 8, to += 8, bytes -= 8) __builtin_memcpy(to, from, 8);
  if (bytes >= 4) {
    __builtin_memcpy(to, from, 4);
    from += 4, to += 4, bytes -= 4;
  }
  for (; bytes > 0; ++from, ++to, --bytes) *to = *from;
}

}  // namespace

}  // namespace chainrule::VARIANT
