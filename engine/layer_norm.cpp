// Layer norm and RMS norm: rows of memory, each with statistics of its own. Forward reads a row from memory once and writes it
// once, backward reads it and its gradient once; gradients of weight and bias are summed over fixed parts of the rows.
#include "kernels.h"
#include "pool.h"
#include "views.h"

namespace chainrule::VARIANT {

namespace {

constexpr int PARTS = 32;                          // of the rows, for sums over them
constexpr int BLOCK = 1024;                        // numbers that are summed in single precision

INLINE vf part_of(const float* p, int j, int part) { return p == nullptr ? broadcast(1.0f) : load_part(p + j, part); }

// visit(j, part) for the vectors of a row; only the last may be a part of one.
template <class F> INLINE void for_row(int first, int end, F visit) {
  int j = first;
  for (; j + LANES <= end; j += LANES) visit(j, LANES);
  if (j < end) visit(j, end - j);
}

INLINE vf only(vf v, int part) { return part < LANES ? select(lanes_below(0, part), v, vf{}) : v; }

// The sum of value(j, part) over a row.
template <class F> INLINE double sum_of(int n, F value) {
  double total = 0;
  for (int first = 0; first < n; first += BLOCK) {
    vf sums = {};
    for_row(first, min(n, first + BLOCK), [&](int j, int part) { sums += only(value(j, part), part); });
    total += sum(sums);
  }
  return total;
}

// Of a row: h = g * w, and the sums of h and of h * (x - mean).
struct Sums {
  double plain = 0, along = 0;
};

INLINE Sums sums_of(const float* g, const float* w, const float* x, float mean, int n) {
  Sums total;
  for (int first = 0; first < n; first += BLOCK) {
    vf plain = {}, along = {};
    for_row(first, min(n, first + BLOCK), [&](int j, int part) {
      const vf h = only(load_part(g + j, part) * part_of(w, j, part), part);
      plain += h;
      along = fma(h, load_part(x + j, part) - mean, along);
    });
    total.plain += sum(plain), total.along += sum(along);
  }
  return total;
}

struct Norm {
  bool centered;
  int rows, n;
  float eps;
  const float *x, *g, *w, *b;
  float *y, *mean, *rstd, *variance, *gx, *gw, *gb;

  NOINLINE void forward(int64_t row) const {
    const float* from = x + row * n;
    const float m = centered ? float(sum_of(n, [&](int j, int part) { return load_part(from + j, part); }) / n) : 0.0f;
    const double squares = sum_of(n, [&](int j, int part) {
      const vf off = load_part(from + j, part) - m;
      return off * off;
    });
    const float spread = float(squares / n), r = float(1 / __builtin_sqrt(double(spread) + eps));
    rstd[row] = r;
    if (centered) mean[row] = m, variance[row] = spread;
    for_row(0, n, [&](int j, int part) {
      vf v = (load_part(from + j, part) - m) * r * part_of(w, j, part);
      if (b) v += load_part(b + j, part);
      store_part<float>(y + row * n + j, v, part);
    });
  }

  // Adds to the sums of weight and bias that this part of the rows has.
  NOINLINE void backward(int64_t row, float* forWeight, float* forBias) const {
    const float *from = x + row * n, *grad = g + row * n;
    const float m = centered ? mean[row] : 0.0f, r = rstd[row];
    const Sums s = sums_of(grad, w, from, m, n);
    const float slope = float(-s.along / n) * r * r * r, shift = centered ? float(-s.plain / n) * r : 0.0f;
    for_row(0, n, [&](int j, int part) {
      const vf gradient = load_part(grad + j, part), off = load_part(from + j, part) - m;
      store_part<float>(gx + row * n + j, fma(off, broadcast(slope), fma(gradient * part_of(w, j, part), broadcast(r), broadcast(shift))), part);
      if (forWeight) store_part<float>(forWeight + j, fma(gradient * off, broadcast(r), load_part(forWeight + j, part)), part);
      if (forBias) store_part<float>(forBias + j, load_part(forBias + j, part) + gradient, part);
    });
  }

  void run_backward() const {
    const int parts = min(PARTS, (rows + 15) / 16), each = (rows + parts - 1) / parts, kinds = (gw != nullptr) + (gb != nullptr);
    float* sums = static_cast<float*>(pool_scratch(0, size_t(parts) * kinds * n * sizeof(float), SHARED));
    parallel(parts, [&](int64_t part, int) {
      float* own = sums + part * kinds * n;
      clear(own, int64_t(kinds) * n);
      float *forWeight = gw ? own : nullptr, *forBias = gb ? own + (kinds - 1) * n : nullptr;
      for (int64_t row = part * each; row < min<int64_t>(rows, (part + 1) * each); ++row) backward(row, forWeight, forBias);
    });
    for (int kind = 0; kind < kinds; ++kind) {
      float* to = kind == 0 && gw ? gw : gb;
      for (int j = 0; j < n; j += LANES) {
        const int count = min(LANES, n - j);
        vf total = {};
        for (int part = 0; part < parts; ++part) total += load_part(sums + (int64_t(part) * kinds + kind) * n + j, count);
        store_part<float>(to + j, total, count);
      }
    }
  }
};

}  // namespace

int32_t layer_norm(const Step& step) {
  Norm job = {};
  Reader tape(step);
  const bool backward = tape.next() != 0, weighted = (job.centered = tape.next() != 0, tape.next() != 0), biased = tape.next() != 0;
  job.rows = tape.next(), job.n = tape.next();
  job.eps = float(step.scalars[0]);
  const auto floats = [&] { return tape.operand().as<float>(); };
  if (backward) job.g = floats();
  job.x = floats();
  if (backward) {
    if (job.centered) job.mean = floats();
    job.rstd = floats();
  }
  if (weighted) job.w = floats();
  if (backward) {
    job.gx = floats();
    if (weighted) job.gw = floats();
    if (biased) job.gb = floats();
    job.run_backward();
    return ENGINE_OK;
  }
  if (biased) job.b = floats();
  job.y = floats();
  if (job.centered) job.mean = floats();
  job.rstd = floats();
  if (job.centered) job.variance = floats();
  const int64_t each = max<int64_t>(1, 16384 / max(1, job.n));
  parallel((job.rows + each - 1) / each, [&](int64_t task, int) {
    for (int64_t row = task * each; row < min<int64_t>(job.rows, (task + 1) * each); ++row) job.forward(row);
  });
  return ENGINE_OK;
}

}  // namespace chainrule::VARIANT
