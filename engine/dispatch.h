// Which variant's kernels run: the best that this machine has, or another that was asked for.
#pragma once
#include <stdint.h>

namespace chainrule {

// Number of variants that this machine can run, best first.
int32_t variant_count();
// Name of one of them: avx512, avx2, baseline, neon, wasm.
const char* variant_name(int32_t number);
// Makes it the one that engine_run uses.
void select_variant(int32_t number);

}  // namespace chainrule
