// The entry points: decode a description, pick the types, and choose between one product, a batch of them, and the
// matrix-vector products that are bound by memory.
#include "conv_blocked.h"
#include "conv_weight.h"
#ifdef __wasm__
#include "conv_winograd_lanes.h"
#else
#include "conv_depthwise.h"
#include "conv_winograd_weight.h"
#endif
#include "gemm_bf16.h"
#include "gemm_halves.h"
#include "gemm_small.h"

namespace chainrule::VARIANT {

namespace {

// ---- matrix times vector --------------------------------------------------------------------------------------------

// out[i * outStep] = sum over p of matrix[i * across + p * along] * x[p], for i < count.
template <class T> struct Gemv {
  int count, k;
  const T* matrix;
  int64_t across, along;
  const T* x;
  T* out;
  int64_t outStep;
  const T* bias;
  int64_t biasStep;                                // 0: one for all
  bool accumulate;

  void finish(int i, T value) const {
    if (bias) value += bias[i * biasStep];
    T& c = out[i * outStep];
    c = accumulate ? c + value : value;
  }

  // The matrix's rows lie along k: four dot products at a time.
  NOINLINE void dots(int first, int rows) const {
    constexpr int L = lanes<T>, R = 4;
    const T* row[R];
    for (int r = 0; r < R; ++r) row[r] = matrix + (first + min(r, rows - 1)) * across;
    Vec<T> acc[R][2] = {};
    int p = 0;
    for (; p + 2 * L <= k; p += 2 * L)
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) acc[r][h] = fma(load(row[r] + p + h * L), load(x + p + h * L), acc[r][h]);
    for (; p < k; p += L)
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const int part = min(L, k - p);
        acc[r][0] = fma(load_part(row[r] + p, part), load_part(x + p, part), acc[r][0]);
      }
    for (int r = 0; r < rows; ++r) finish(first + r, sum(acc[r][0] + acc[r][1]));
  }

  // The matrix's rows lie across: a block of results stays in cache while rows, read in long runs, are added to it.
  static constexpr int BLOCK = 2048, DEEP = 8, WIDE = 4;
  NOINLINE void sums(int first, int width) const {
    constexpr int L = lanes<T>;
    typedef Vec<T> V;
    alignas(64) T acc[BLOCK + L];
    clear(acc, (width + L - 1) / L * L);
    int p = 0;
    for (; p + DEEP <= k; p += DEEP) {
      const T* row = matrix + first + p * along;
      V y[DEEP];
#pragma GCC unroll 8
      for (int i = 0; i < DEEP; ++i) y[i] = broadcast(x[p + i]);
      int j = 0;
      for (; j + WIDE * L <= width; j += WIDE * L) {
        V v[WIDE];
#pragma GCC unroll 4
        for (int w = 0; w < WIDE; ++w) v[w] = load(acc + j + w * L);
#pragma GCC unroll 8
        for (int i = 0; i < DEEP; ++i)
#pragma GCC unroll 4
          for (int w = 0; w < WIDE; ++w) v[w] = fma(y[i], load(row + i * along + j + w * L), v[w]);
#pragma GCC unroll 4
        for (int w = 0; w < WIDE; ++w) store(acc + j + w * L, v[w]);
      }
      for (; j < width; j += L) {
        V v = load(acc + j);
        for (int i = 0; i < DEEP; ++i) v = fma(y[i], load_part(row + i * along + j, min(L, width - j)), v);
        store(acc + j, v);
      }
    }
    for (; p < k; ++p)
      for (int j = 0; j < width; j += L)
        store<T>(acc + j, fma(broadcast(x[p]), load_part(matrix + first + p * along + j, min(L, width - j)), load(acc + j)));
    for (int j = 0; j < width; ++j) finish(first + j, acc[j]);
  }

  void run(bool alone, int worker) const {
    const bool serial = alone || int64_t(count) * k < 64 * 1024;
    const int each = serial ? count : (count + 2 * pool_threads() - 1) / (2 * pool_threads());    // a result is one task's for any step
    const int step = along == 1 ? 32 : max(64, min(BLOCK, (each + 63) / 64 * 64));
    spread(serial, worker, (count + step - 1) / step, [&](int64_t task, int) {
      const int first = int(task) * step, width = min(step, count - first);
      if (along != 1) return sums(first, width);
      for (int i = 0; i < width; i += 4) dots(first + i, min(4, width - i));
    });
  }
};

// ---- one product, with C and bias as the kernels want them -------------------------------------------------------------

template <class T> struct Product {
  const Gemm& gemm;
  int m, n, k;
  Strided<T> a, b;
  T* c;
  int64_t cRow, cCol;
  const T* bias;
  int64_t batch;
  bool alone;
  int worker;

  const T* bias_of(int mode) const { return gemm.biasMode == mode ? bias : nullptr; }

  bool run_vector() const {
    if (gemm.epilogue || (m != 1 && n != 1)) return false;
    const int64_t xStep = m == 1 ? a.col : b.row, across = m == 1 ? b.col : a.row, along = m == 1 ? b.row : a.col;
    if (along != 1 && across != 1) return false;
    const T* x = m == 1 ? a.data : b.data;
    if (xStep != 1) {
      T* packed = static_cast<T*>(pool_scratch(worker, size_t(k) * sizeof(T), SHARED));
      for (int p = 0; p < k; ++p) packed[p] = x[p * xStep];
      x = packed;
    }
    const bool perResult = gemm.biasMode == (m == 1 ? 1 : 2);
    const Gemv<T> product{m == 1 ? n : m, k, m == 1 ? b.data : a.data, across, along, x, c, m == 1 ? cCol : cRow, bias,
                          perResult ? 1 : 0, gemm.accumulate != 0};
    product.run(alone, worker);
    return true;
  }

  MatMul<T> job(T* to, int64_t ld) const {
    MatMul<T> job{m, n, k, to, ld};
    job.perRow = bias_of(2), job.perCol = bias_of(1), job.accumulate = gemm.accumulate != 0;
    job.epilogue = sizeof(T) == 4 && gemm.dtype != INT32 ? gemm.epilogue : nullptr, job.batch = batch;
    return job;
  }

  void run_rows(const MatMul<T>& rows, Strided<T> left, Strided<T> right) const {
    if (!small_product(rows, left, right, alone || pool_threads() == 1)) multiply(rows, left, right, alone, worker);
  }

  NOINLINE void run() const {
    if (run_vector()) return;
    if (cCol == 1 || n == 1) return run_rows(job(c, cRow), a, b);
    if ((cRow == 1 || m == 1) && !gemm.epilogue) {  // C is transposed: make it B^T A^T
      MatMul<T> swapped{n, m, k, c, cCol};
      swapped.perRow = bias_of(1), swapped.perCol = bias_of(2), swapped.accumulate = gemm.accumulate != 0;
      return run_rows(swapped, {b.data, b.col, b.row}, {a.data, a.col, a.row});
    }
    T* dense = static_cast<T*>(pool_scratch(worker, size_t(m) * n * sizeof(T), EXTRA));
    const auto each = [&](auto visit) {
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j) visit(c[i * cRow + j * cCol], dense[int64_t(i) * n + j]);
    };
    if (gemm.accumulate) each([](T& from, T& to) { to = from; });
    run_rows(job(dense, n), a, b);
    each([](T& to, T& from) { to = from; });
  }
};

// ---- batches --------------------------------------------------------------------------------------------------------

// The batch without dimensions of size 1, the last one folded into the rows where one B serves it all.
struct Batch {
  int rank = 0;
  int64_t dims[MAX_BATCH_RANK], a[MAX_BATCH_RANK], b[MAX_BATCH_RANK], c[MAX_BATCH_RANK], count = 1;
  int64_t m;

  explicit Batch(const Gemm& g) : m(g.m) {
    for (int i = 0; i < g.batchRank; ++i) {
      count *= g.batchDims[i];
      if (g.batchDims[i] == 1) continue;
      dims[rank] = g.batchDims[i], a[rank] = g.as.batch[i], b[rank] = g.bs.batch[i], c[rank++] = g.cs.batch[i];
    }
    while (rank > 0 && foldable(g)) m *= dims[rank - 1], count /= dims[rank - 1], --rank;
  }

  bool foldable(const Gemm& g) const {
    const int last = rank - 1;
    return count > 0 && b[last] == 0 && a[last] == m * g.as.row && c[last] == m * g.cs.row && m * dims[last] < (1 << 30) &&
           g.biasMode != 2 && !g.epilogue;
  }

  void offsets(int64_t index, int64_t& atA, int64_t& atB, int64_t& atC) const {
    atA = atB = atC = 0;
    for (int i = rank - 1; i >= 0; --i) {
      const int64_t at = index % dims[i];
      index /= dims[i], atA += at * a[i], atB += at * b[i], atC += at * c[i];
    }
  }
};

// Calls product(index, atA, atB, atC, alone, worker) for the whole batch: one after the other on all threads where there
// are few, else each on a thread of its own.
template <class Run> void for_batch(const Batch& batch, int64_t work, const Run& product) {
  const auto at = [&](int64_t index, bool alone, int worker) {
    int64_t atA, atB, atC;
    batch.offsets(index, atA, atB, atC);
    product(index, atA, atB, atC, alone, worker);
  };
  if (batch.count < 4) {
    for (int64_t i = 0; i < batch.count; ++i) at(i, false, 0);
    return;
  }
  const int64_t each = max<int64_t>(1, (int64_t(1) << 18) / max<int64_t>(1, work));
  parallel((batch.count + each - 1) / each, [&](int64_t task, int worker) {
    for (int64_t i = task * each; i < min(batch.count, (task + 1) * each); ++i) at(i, true, worker);
  });
}

template <class T> void run_gemm(const Gemm& g) {
  const Batch batch(g);
  const int m = int(batch.m), n = g.n, k = g.k;
  if (batch.count <= 0 || m <= 0 || n <= 0) return;
  const T* bias = g.biasMode ? static_cast<const T*>(g.bias) : nullptr;
  for_batch(batch, int64_t(m) * n * k, [&](int64_t index, int64_t atA, int64_t atB, int64_t atC, bool alone, int worker) {
    const Strided<T> a{static_cast<const T*>(g.a) + atA, g.as.row, g.as.col}, b{static_cast<const T*>(g.b) + atB, g.bs.row, g.bs.col};
    Product<T>{g, m, n, k, a, b, static_cast<T*>(g.c) + atC, g.cs.row, g.cs.col, bias, index, alone, worker}.run();
  });
}

// ---- 16-bit storage: widened before, rounded after -------------------------------------------------------------------

#if CHAINRULE_AVX512
template <class C, class N> void run_pairs_gemm(const Gemm& g) {
  const Batch batch(g);
  const int m = int(batch.m), n = g.n, k = g.k;
  if (batch.count <= 0 || m <= 0 || n <= 0) return;
  const int biasCount = g.biasMode == 1 ? n : g.biasMode == 2 ? m : 0;
  float* bias = static_cast<float*>(pool_scratch(0, size_t(biasCount) * sizeof(float), BIAS));
  convert(static_cast<const bf16*>(g.bias), bias, biasCount);
  const float *perRow = g.biasMode == 2 ? bias : nullptr, *perCol = g.biasMode == 1 ? bias : nullptr;
  for_batch(batch, int64_t(m) * n * k, [&](int64_t index, int64_t atA, int64_t atB, int64_t atC, bool alone, int worker) {
    const Strided<bf16> a{static_cast<const bf16*>(g.a) + atA, g.as.row, g.as.col};
    const Strided<N> b{static_cast<const N*>(g.b) + atB, g.bs.row, g.bs.col};
    C* const c = static_cast<C*>(g.c) + atC;
    const bool add = g.accumulate != 0;
    if constexpr (__is_same(N, bf16))
      if (g.cs.col != 1 && g.cs.row == 1 && !g.epilogue) {   // C is transposed: make it B^T A^T
        const Strided<bf16> left{b.data, b.col, b.row}, right{a.data, a.col, a.row};
        return pairs::Product<C>{n, m, k, left, right, c, g.cs.col, g.cs.row, perCol, perRow, add, g.rounded, nullptr, index}
            .run(alone, worker);
      }
    const pairs::Product<C, N> product{m, n, k, a, b, c, g.cs.row, g.cs.col, perRow, perCol, add, g.rounded, g.epilogue, index};
    product.run(alone, worker);
  });
}
#endif

template <class S, class C> void run_half_gemm(const Gemm& g) {
#if CHAINRULE_AVX512
  if constexpr (__is_same(S, bf16))
    if (pairs::usable()) return g.bdtype == FLOAT32 ? run_pairs_gemm<C, float>(g) : run_pairs_gemm<C, bf16>(g);
#endif
  const Batch batch(g);
  const int m = int(batch.m), n = g.n, k = g.k;
  if (batch.count <= 0 || m <= 0 || n <= 0) return;
  const int biasCount = g.biasMode == 1 ? n : g.biasMode == 2 ? m : 0;
  float* bias = static_cast<float*>(pool_scratch(0, size_t(biasCount) * sizeof(float), BIAS));
  convert(static_cast<const S*>(g.bias), bias, biasCount);
  for_batch(batch, int64_t(m) * n * k, [&](int64_t index, int64_t atA, int64_t atB, int64_t atC, bool alone, int worker) {
    const int64_t sizeA = int64_t(m) * k, sizeB = int64_t(k) * n;
    float* memory = static_cast<float*>(pool_scratch(worker, size_t(sizeA + sizeB + int64_t(m) * n) * sizeof(float), EXTRA));
    float* dense = memory + sizeA + sizeB;
    C* c = static_cast<C*>(g.c) + atC;
    const auto a = widen(static_cast<const S*>(g.a) + atA, g.as.row, g.as.col, m, k, memory);
    const auto b = right_matrix<S>(g, atB, memory + sizeA);
    if (g.accumulate)
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j) dense[int64_t(i) * n + j] = to_float(c[i * g.cs.row + j * g.cs.col]);
    Product<float>{g, m, n, k, a, b, dense, n, 1, biasCount ? bias : nullptr, index, alone, worker}.run();
    for (int64_t i = 0; g.rounded && i < int64_t(m) * n; ++i) dense[i] = rounded<S>(dense[i]);
    for (int i = 0; i < m; ++i)
      if (g.cs.col == 1) convert(dense + int64_t(i) * n, c + i * g.cs.row, n);
      else for (int j = 0; j < n; ++j) put(c[i * g.cs.row + j * g.cs.col], dense[int64_t(i) * n + j]);
  });
}

// With one tap there are no lines: an image is one, as long as it has pixels.
Conv without_lines(Conv c) {
  for (int i = 0; i < 3; ++i)
    if (c.kernel[i] != 1 || c.stride[i] != 1 || c.pad[i] != 0) return c;
  c.in[2] *= c.in[0] * c.in[1], c.out[2] = c.in[2];
  c.in[0] = c.in[1] = c.out[0] = c.out[1] = 1;
  return c;
}

template <class T> void run_conv(const Conv& given) {
  const Conv c = without_lines(given);
  const int64_t pixels = int64_t(c.out[0]) * c.out[1] * c.out[2], taps = int64_t(c.kernel[0]) * c.kernel[1] * c.kernel[2];
  if (c.direction == Conv::WEIGHT_GRADIENT && pixels * c.n == 0)  // sums over nothing
    return clear(static_cast<T*>(c.w), c.o * (c.c / c.groups) * taps);
#ifdef __wasm__
  if constexpr (sizeof(T) == 4)
    if (LaneWinograd::suits(c))
      return c.direction == Conv::WEIGHT_GRADIENT ? LaneWinogradWeight(c).run() : LaneWinograd(c).run();
#else
  if (Depthwise<T>::suits(c)) return Depthwise<T>(c).run();
  if constexpr (sizeof(T) == 4) {
    if (c.direction == Conv::WEIGHT_GRADIENT && WinogradWeight::suits(c)) return WinogradWeight(c).run();
    if (c.direction != Conv::WEIGHT_GRADIENT && (Winograd::suits(c) || Winograd::suits_deep(c))) return Winograd(c).run();
  }
#endif
  if (c.direction == Conv::WEIGHT_GRADIENT) return WeightGradient<T>(c).run();
#ifndef __wasm__
  if (BlockedCorrelation<T>::suits(c)) return BlockedCorrelation<T>(c).run();
#endif
  Correlation<T>(c).run();
}

template <class S> void run_half_conv(Conv c) {
  int64_t in = int64_t(c.n) * c.c, out = int64_t(c.n) * c.o, weights = int64_t(c.o) * (c.c / c.groups);
  for (int i = 0; i < 3; ++i) in *= c.in[i], out *= c.out[i], weights *= c.kernel[i];
  const int64_t sizes[4] = {in, weights, out, c.bias ? c.o : 0};
  S* const half[4] = {static_cast<S*>(c.x), static_cast<S*>(c.w), static_cast<S*>(c.y), static_cast<S*>(const_cast<void*>(c.bias))};
  const int result = c.direction == Conv::FORWARD ? 2 : c.direction == Conv::INPUT_GRADIENT ? 0 : 1;
  float* const memory = static_cast<float*>(engine_alloc(size_t(in + weights + out + sizes[3]) * sizeof(float)));
  float* wide[4] = {memory, memory + in, memory + in + weights, memory + in + weights + out};
  constexpr int64_t SHARE = 1 << 16;
  const auto share = [&](int64_t size, auto run) {
    parallel((size + SHARE - 1) / SHARE, [&](int64_t task, int) { run(task * SHARE, min(SHARE, size - task * SHARE)); });
  };
  for (int i = 0; i < 4; ++i)
    if (i != result) share(sizes[i], [&](int64_t at, int64_t count) { convert(half[i] + at, wide[i] + at, count); });
  c.dtype = FLOAT32, c.x = wide[0], c.w = wide[1], c.y = wide[2], c.bias = c.bias ? wide[3] : nullptr;
  run_conv<float>(c);
  share(sizes[result], [&](int64_t at, int64_t count) { convert(wide[result] + at, half[result] + at, count); });
  engine_free(memory);
}

}  // namespace

void gemm_run(const Gemm& g) {
  switch (g.dtype) {
    case FLOAT32: return run_gemm<float>(g);
    case FLOAT64: return run_gemm<double>(g);
    case INT32: return simple_gemm(g);
    case BFLOAT16: return g.cdtype == FLOAT32 ? run_half_gemm<bf16, float>(g) : run_half_gemm<bf16, bf16>(g);
    case FLOAT16: return g.cdtype == FLOAT32 ? run_half_gemm<f16, float>(g) : run_half_gemm<f16, f16>(g);
    default: return;                               // no products of uint8 and bool
  }
}

void conv_run(const Conv& c) {
  switch (c.dtype) {
    case FLOAT32: return run_conv<float>(c);
#ifdef __wasm__
    case FLOAT64: return simple_conv(c);           // rare, and a fifth of this file
#else
    case FLOAT64: return run_conv<double>(c);
#endif
    case INT32: return simple_conv(c);
    case BFLOAT16: return run_half_conv<bf16>(c);
    case FLOAT16: return run_half_conv<f16>(c);
    default: return;
  }
}

}  // namespace chainrule::VARIANT
