// Turns of a loop over blocks of an outer dim: each runs a small tape on its own views, start to end, so that its values stay in the
// cache of the core that runs it. Turns are independent of each other.
#include "simd.h"
#include "kernels.h"
#include "pool.h"

namespace chainrule::VARIANT {

namespace {

constexpr int MAX_VIEWS = 64;        // src/program/passes/loops.ts builds no more

struct Loop {
  const Step* step;
  int32_t turns, views, scratch;
  const int32_t *table, *tape;

  int32_t run(int64_t turn, int worker) const {
    double addresses[MAX_VIEWS];
    char* const own = scratch > 0 ? static_cast<char*>(pool_scratch(worker, size_t(scratch), TURN)) : nullptr;
    if (scratch > 0 && own == nullptr) return ENGINE_MEMORY;
    for (int v = 0; v < views; ++v) {
      const int32_t* view = table + 4 * v;
      char* const base = view[0] < 0 ? own : reinterpret_cast<char*>(static_cast<uintptr_t>(step->addresses[view[0]]));
      addresses[v] = double(reinterpret_cast<uintptr_t>(base + (view[2] + turn * view[3]) * bytes_of(view[1])));
    }
    EngineError ignored;
    for (const int32_t* words = tape; *words != END; words += words[1]) {
      const int32_t code = kernels.family[*words](Step{words, addresses, step->scalars + words[2], &ignored});
      if (code != ENGINE_OK) return code;
    }
    return ENGINE_OK;
  }
};

}  // namespace

int32_t loop(const Step& step) {
  Reader in(step);
  Loop loop;
  loop.step = &step;
  loop.turns = in.next(), loop.views = in.next(), loop.scratch = in.next();
  if (loop.views > MAX_VIEWS) return step.fail(ENGINE_TAPE, LOOP);
  loop.table = in.ints(4 * loop.views);
  loop.tape = in.at;
  int32_t failed = ENGINE_OK;
  parallel(loop.turns, [&](int64_t turn, int worker) {
    const int32_t code = loop.run(turn, worker);
    if (code != ENGINE_OK) __atomic_store_n(&failed, code, __ATOMIC_RELAXED);
  });
  return failed == ENGINE_OK ? failed : step.fail(failed);
}

}  // namespace chainrule::VARIANT
