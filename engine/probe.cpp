// How much arithmetic a core can do at most: twelve independent chains of fused multiply-adds in registers. Benchmarks
// quote kernels as a share of this, measured in the same run.
#include "simd.h"
#include "kernels.h"

namespace chainrule::VARIANT {

constexpr int CHAINS = 12;

int32_t probe(const Step& step) {
  Reader read(step);
  const int32_t iterations = read.next();
  const Operand out = read.operand();
  vf sums[CHAINS];
  for (int c = 0; c < CHAINS; ++c) sums[c] = broadcast(float(c));
  const vf factor = broadcast(float(step.scalars[0])), addend = broadcast(float(step.scalars[1]));
  for (int32_t i = 0; i < iterations; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; ++c) sums[c] = fma(sums[c], factor, addend);
  vf total = sums[0];
  for (int c = 1; c < CHAINS; ++c) total += sums[c];
  out.as<float>()[0] = total[0];                       // so that no compiler leaves it out
  out.as<float>()[1] = 2.0f * CHAINS * LANES;  // operations of one iteration
  return 0;
}

}  // namespace chainrule::VARIANT
