// The loop over a tape. Compiled once, for the baseline; kernels come from the variant that dispatch chose.
#include "abi.h"
#include "kernels.h"

namespace chainrule {

extern const Kernels* active;  // set by dispatch before the first run

// Of the thread that ran. (A WASM module has one caller at a time.)
#ifdef __wasm__
static EngineError last_error;
#else
static thread_local EngineError last_error;
#endif

struct AotHash { int32_t lo, hi; };
#define CHAINRULE_AOT_HASHES_ONLY
#include "aot.h"

}  // namespace chainrule

using namespace chainrule;

extern "C" int32_t engine_run(const int32_t* tape, const double* addresses, const double* scalars) {
  const Kernels* const kernels = active;
  for (int32_t number = 0; *tape != END; tape += tape[1], ++number) {
    const Step step = {tape, addresses, scalars + tape[2], &last_error};
    const int32_t code = kernels->family[*tape](step);
    if (__builtin_expect(code != ENGINE_OK, 0)) {
      last_error.step = number;
      return code;
    }
  }
  return ENGINE_OK;
}

extern "C" const EngineError* engine_error(void) { return &last_error; }

extern "C" int32_t engine_aot_find(int32_t lo, int32_t hi) {
  for (int32_t i = 0; i < AOT_COUNT; ++i)
    if (aot_hashes[i].lo == lo && aot_hashes[i].hi == hi) return i;
  return -1;
}
