// How much arithmetic the cores can do at most: on each, twelve independent chains of fused multiply-adds in registers, where eight
// (a latency of four cycles, two units) are enough. Benchmarks quote kernels as a share of this, measured beside them.
#include "simd.h"
#include "kernels.h"
#include "pool.h"

namespace chainrule::VARIANT {

constexpr int CHAINS = 12, PATIENCE = 1 << 20;

int32_t probe(const Step& step) {
  Reader read(step);
  const int32_t iterations = read.next(), threads = read.next();
  const Operand out = read.operand();
  int32_t here = 0;
  parallel(threads, [&](int64_t task, int) {
    // All begin together, so that none does the part of another who is only waking up.
    __atomic_fetch_add(&here, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < PATIENCE && __atomic_load_n(&here, __ATOMIC_RELAXED) < threads; ++i) {}
    vf sums[CHAINS];
    for (int c = 0; c < CHAINS; ++c) sums[c] = broadcast(float(c));
    const vf factor = broadcast(float(step.scalars[0])), addend = broadcast(float(step.scalars[1]));
    for (int32_t i = 0; i < iterations; ++i)
#pragma GCC unroll 12
      for (int c = 0; c < CHAINS; ++c) sums[c] = fma(sums[c], factor, addend);
    vf total = sums[0];
    for (int c = 1; c < CHAINS; ++c) total += sums[c];
    out.as<float>()[1 + task] = total[0];              // so that no compiler leaves it out
  });
  out.as<float>()[0] = 2.0f * CHAINS * LANES;          // operations of one iteration
  return 0;
}

}  // namespace chainrule::VARIANT
