// The entry points: decode a description, pick the types, and choose between one product, a batch of them, and the
// matrix-vector products that are bound by memory.
#include "conv_weight.h"

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
  void dots(int first, int rows) const {
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

  // The matrix's rows lie across: a block of results stays in cache while rows are added, eight at a time.
  static constexpr int BLOCK = 64 * LANES, DEEP = 8;
  void sums(int first, int width) const {
    constexpr int L = lanes<T>;
    alignas(64) T acc[BLOCK + L] = {};
    int p = 0;
    for (; p + DEEP <= k; p += DEEP) {
      const T* row = matrix + first + p * along;
      for (int j = 0; j < width; j += L) {
        const int part = min(L, width - j);
        Vec<T> v = load(acc + j);
#pragma GCC unroll 8
        for (int i = 0; i < DEEP; ++i) v = fma(broadcast(x[p + i]), load_part(row + i * along + j, part), v);
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
    const int step = along == 1 ? 32 : BLOCK;
    spread(serial, worker, (count + step - 1) / step, [&](int64_t task, int) {
      const int first = int(task) * step, width = min(step, count - first);
      if (along != 1) return sums(first, width);
      for (int i = 0; i < width; i += 4) dots(first + i, min(4, width - i));
    });
  }
};

// ---- one product, with C and bias as the kernels want them -------------------------------------------------------------

template <class S, class C> struct Product {
  typedef Compute<S> T;
  const Gemm& gemm;
  int m, n, k;
  Strided<S> a, b;
  C* c;
  int64_t cRow, cCol;
  const T* bias;
  int64_t batch;
  bool alone;
  int worker;

  const T* bias_of(int mode) const { return gemm.biasMode == mode ? bias : nullptr; }

  bool vector() const {
    if constexpr (sizeof(S) == sizeof(T)) {
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
      Gemv<T>{m == 1 ? n : m, k, m == 1 ? b.data : a.data, across, along, x, c, m == 1 ? cCol : cRow, bias, perResult ? 1 : 0,
              gemm.accumulate != 0}.run(alone, worker);
      return true;
    }
    return false;
  }

  MatMul<T> job(T* to, int64_t ld) const {
    MatMul<T> job{m, n, k, to, ld};
    job.perRow = bias_of(2), job.perCol = bias_of(1), job.accumulate = gemm.accumulate != 0;
    job.epilogue = sizeof(T) == 4 && gemm.dtype != INT32 ? gemm.epilogue : nullptr, job.batch = batch;
    return job;
  }

  void run() const {
    if constexpr (sizeof(C) == sizeof(T)) {
      if (vector()) return;
      if (cCol == 1 || n == 1) return multiply<T, S>(job(c, cRow), a, b, alone, worker);
      if ((cRow == 1 || m == 1) && !gemm.epilogue) {   // C is transposed: make it B^T A^T
        MatMul<T> swapped{n, m, k, c, cCol};
        swapped.perRow = bias_of(1), swapped.perCol = bias_of(2), swapped.accumulate = gemm.accumulate != 0;
        return multiply<T, S>(swapped, {b.data, b.col, b.row}, {a.data, a.col, a.row}, alone, worker);
      }
    }
    T* copy = static_cast<T*>(pool_scratch(worker, size_t(m) * n * sizeof(T), EXTRA));
    if (gemm.accumulate)
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j) copy[int64_t(i) * n + j] = T(widened(c[i * cRow + j * cCol]));
    multiply<T, S>(job(copy, n), a, b, alone, worker);
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) narrow_to(c[i * cRow + j * cCol], copy[int64_t(i) * n + j]);
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

template <class S, class C> void run_gemm(const Gemm& g) {
  typedef Compute<S> T;
  const Batch batch(g);
  const int m = int(batch.m), n = g.n, k = g.k;
  if (batch.count <= 0 || m <= 0 || n <= 0) return;
  const T* bias = nullptr;
  if constexpr (sizeof(S) == sizeof(T)) {
    bias = g.biasMode ? static_cast<const T*>(g.bias) : nullptr;
  } else if (g.biasMode) {
    const int count = g.biasMode == 1 ? n : m;
    T* wide = static_cast<T*>(pool_scratch(0, size_t(count) * sizeof(T), BIAS));
    convert(static_cast<const S*>(g.bias), wide, count);
    bias = wide;
  }
  const auto product = [&](int64_t index, bool alone, int worker) {
    int64_t atA, atB, atC;
    batch.offsets(index, atA, atB, atC);
    Product<S, C>{g, m, n, k, {static_cast<const S*>(g.a) + atA, g.as.row, g.as.col},
                  {static_cast<const S*>(g.b) + atB, g.bs.row, g.bs.col}, static_cast<C*>(g.c) + atC, g.cs.row, g.cs.col,
                  bias, index, alone, worker}.run();
  };
  if (batch.count < 4) {
    for (int64_t i = 0; i < batch.count; ++i) product(i, false, 0);
    return;
  }
  const int64_t each = max<int64_t>(1, (int64_t(1) << 18) / max<int64_t>(1, int64_t(m) * n * max(k, 1)));
  parallel((batch.count + each - 1) / each, [&](int64_t task, int worker) {
    for (int64_t i = task * each; i < min(batch.count, (task + 1) * each); ++i) product(i, true, worker);
  });
}

template <class S> void run_conv(const Conv& c) {
  if (c.direction == Conv::WEIGHT_GRADIENT) WeightGradient<S>(c).run();
  else Correlation<S>(c).run();
}

}  // namespace

void gemm_run(const Gemm& g) {
  switch (g.dtype) {
    case FLOAT32: return run_gemm<float, float>(g);
    case FLOAT64: return run_gemm<double, double>(g);
    case INT32: return run_gemm<int32_t, int32_t>(g);
    case BFLOAT16: return g.cdtype == FLOAT32 ? run_gemm<bf16, float>(g) : run_gemm<bf16, bf16>(g);
    case FLOAT16: return g.cdtype == FLOAT32 ? run_gemm<f16, float>(g) : run_gemm<f16, f16>(g);
    default: return;                               // no products of uint8 and bool
  }
}

void conv_run(const Conv& c) {
  switch (c.dtype) {
    case FLOAT32: return run_conv<float>(c);
    case FLOAT64: return run_conv<double>(c);
    case INT32: return run_conv<int32_t>(c);
    case BFLOAT16: return run_conv<bf16>(c);
    case FLOAT16: return run_conv<f16>(c);
    default: return;
  }
}

}  // namespace chainrule::VARIANT
