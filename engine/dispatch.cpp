#include "dispatch.h"
#include "kernels.h"

// Defined by table.cpp, which is compiled once for each; a build may leave variants out, whose addresses are null then.
#define DECLARE(variant) namespace variant { extern const Kernels kernels; }
#define DECLARE_OPTIONAL(variant) namespace variant { extern const Kernels kernels __attribute__((weak)); }

namespace chainrule {

#if defined(__wasm__)
DECLARE(wasm)
#elif defined(__aarch64__)
DECLARE(neon)
#else
DECLARE_OPTIONAL(avx512)
DECLARE_OPTIONAL(avx2)
DECLARE_OPTIONAL(baseline)
#endif

// The i-th variant that this machine can run, or null.
static const Kernels* usable(int32_t number) {
#if defined(__wasm__)
  return number == 0 ? &wasm::kernels : nullptr;
#elif defined(__aarch64__)
  return number == 0 ? &neon::kernels : nullptr;
#else
  const bool avx2_works = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool avx512_works = avx2_works && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (avx512_works && &avx512::kernels != nullptr && number-- == 0) return &avx512::kernels;
  if (avx2_works && &avx2::kernels != nullptr && number-- == 0) return &avx2::kernels;
  return &baseline::kernels != nullptr && number == 0 ? &baseline::kernels : nullptr;
#endif
}

#if defined(__wasm__)
const Kernels* active = &wasm::kernels;
#elif defined(__aarch64__)
const Kernels* active = &neon::kernels;
#else
const Kernels* active = &baseline::kernels;
#endif

int32_t variant_count() {
  int32_t count = 0;
  while (usable(count) != nullptr) ++count;
  return count;
}

const char* variant_name(int32_t number) { return usable(number)->name; }

void select_variant(int32_t number) { active = usable(number); }

}  // namespace chainrule
