// Random tensors: ranges of one counter-based stream, so any split over threads gives the same numbers.
#include "random.h"
#include "convert.h"
#include "kernels.h"
#include "pool.h"

namespace chainrule::VARIANT {

namespace {

enum By { UNIFORM, NORMAL, INTEGERS };

constexpr int64_t SPAN = 8192;       // elements of a task
constexpr int BLOCK = 512;           // elements converted at a time

struct RandomStep {
  int by;
  Key key;
  uint64_t offset;
  int32_t low, high;
  Operand out;
};

// Uniforms of 16-bit types keep as many leading bits as those have: rounding could make them 1.
INLINE void keep_bits(float* values, int n, float scale) {
  for (int i = 0; i < n; ++i) values[i] = float(int32_t(values[i] * scale)) / scale;
}

void draw(const RandomStep& r, int64_t first, int64_t count) {
  if (r.by != INTEGERS && r.out.dtype == FLOAT64) {
    double* to = r.out.as<double>() + first;
    return r.by == UNIFORM ? fill_uniform_f64(to, first, count, r.key, r.offset) : fill_normal_f64(to, first, count, r.key, r.offset);
  }
  if (r.by != INTEGERS && r.out.dtype == FLOAT32) {
    float* to = r.out.as<float>() + first;
    return r.by == UNIFORM ? fill_uniform_f32(to, first, count, r.key, r.offset) : fill_normal_f32(to, first, count, r.key, r.offset);
  }
  if (r.by == INTEGERS && r.out.dtype == INT32) {
    return fill_integers(r.out.as<int32_t>() + first, first, count, r.key, r.offset, r.low, r.high);
  }
  for (int64_t done = 0; done < count; done += BLOCK) {
    const int n = int(count - done < BLOCK ? count - done : BLOCK);
    char* to = r.out.data + (first + done) * bytes_of(r.out.dtype);
    if (r.by == INTEGERS) {
      alignas(64) int32_t block[BLOCK];
      fill_integers(block, first + done, n, r.key, r.offset, r.low, r.high);
      store_tile(r.out.dtype, block, to, 0, 1, 1, n);
      continue;
    }
    alignas(64) float block[BLOCK];
    if (r.by == NORMAL) fill_normal_f32(block, first + done, n, r.key, r.offset);
    else fill_uniform_f32(block, first + done, n, r.key, r.offset);
    if (r.by == UNIFORM && r.out.dtype == BFLOAT16) keep_bits(block, n, 256.0f);
    if (r.by == UNIFORM && r.out.dtype == FLOAT16) keep_bits(block, n, 2048.0f);
    store_tile(r.out.dtype, block, to, 0, 1, 1, n);
  }
}

}  // namespace

int32_t random(const Step& step) {
  RandomStep r;
  Reader tape(step);
  r.by = tape.next();
  const int64_t count = tape.next();
  r.out = tape.operand();
  r.key = {uint32_t(int64_t(step.scalars[0])), uint32_t(int64_t(step.scalars[1]))};
  r.offset = uint64_t(step.scalars[2]);
  r.low = r.by == INTEGERS ? int32_t(int64_t(step.scalars[3])) : 0;
  r.high = r.by == INTEGERS ? int32_t(int64_t(step.scalars[4])) : 0;
  if (count <= SPAN || pool_threads() == 1) draw(r, 0, count);
  else parallel((count + SPAN - 1) / SPAN, [&](int64_t i, int) { draw(r, i * SPAN, count - i * SPAN < SPAN ? count - i * SPAN : SPAN); });
  return ENGINE_OK;
}

}  // namespace chainrule::VARIANT
