// The engine as a WASM module. Everything is exported under its own name; addresses are offsets into linear memory.
#include "mailbox.h"
#include "pool.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace chainrule {
size_t engine_allocated();
}
using namespace chainrule;

static double* mailbox;

// A mailbox for this many doubles; the old one is no longer used.
EXPORT(open_mailbox) double* open_mailbox(int32_t doubles) {
  engine_free(mailbox);
  mailbox = static_cast<double*>(engine_alloc(size_t(doubles) * sizeof(double)));
  return mailbox;
}

EXPORT(run) void run() { run_mailbox(mailbox); }
EXPORT(allocate) void* allocate(size_t bytes) { return engine_alloc(bytes); }
EXPORT(release) void release(void* block) { engine_free(block); }
EXPORT(allocated) size_t allocated() { return engine_allocated(); }
EXPORT(aot_find) int32_t aot_find(int32_t lo, int32_t hi) { return engine_aot_find(lo, hi); }
EXPORT(set_threads) void set_threads(int32_t threads) { pool_set_threads(threads); }
