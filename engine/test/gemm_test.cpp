// Matrix products and convolutions against loops, and their speed. `node scripts/engineTest.mjs` builds and runs the tests; by hand, for one
// variant at a time:
//   g++ -std=c++20 -O3 -pthread -DVARIANT=avx2 -mavx2 -mfma -mf16c -I engine engine/{gemm,gemm_simple,gemm_small,pool}.cpp engine/test/gemm_test.cpp
// Run without arguments it tests; `bench [threads] [gemm | conv]` prints GFLOP/s and milliseconds.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "gemm_api.h"
#include "pool.h"
#include "views.h"

using namespace chainrule;
using VARIANT::bf16;
using VARIANT::f16;

#define NAME_OF(x) #x
#define NAME(x) NAME_OF(x)

static std::mt19937 engine(7);
static int failures = 0, checks = 0;

static int uniform(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine); }
static size_t width_of(DType t) { return t == FLOAT64 ? 8 : t == BFLOAT16 || t == FLOAT16 ? 2 : 4; }
static const char* name_of(DType t) {
  static const char* const names[] = {"float32", "float64", "bfloat16", "float16", "int32"};
  return names[t];
}

// A buffer of any dtype, exactly as long as asked (so that a sanitizer sees reads past its end).
struct Buffer {
  DType type;
  std::vector<char> bytes;
  Buffer(DType t, size_t count) : type(t), bytes(count * width_of(t)) {}
  double get(int64_t i) const {
    const char* p = bytes.data() + i * width_of(type);
    switch (type) {
      case FLOAT32: { float x; memcpy(&x, p, 4); return x; }
      case FLOAT64: { double x; memcpy(&x, p, 8); return x; }
      case INT32: { int32_t x; memcpy(&x, p, 4); return x; }
      case BFLOAT16: { bf16 x; memcpy(&x, p, 2); return VARIANT::to_float(x); }
      default: { f16 x; memcpy(&x, p, 2); return VARIANT::to_float(x); }
    }
  }
  void set(int64_t i, double v) {
    char* p = bytes.data() + i * width_of(type);
    switch (type) {
      case FLOAT32: { const float x = float(v); memcpy(p, &x, 4); return; }
      case FLOAT64: memcpy(p, &v, 8); return;
      case INT32: { const int32_t x = int32_t(v); memcpy(p, &x, 4); return; }
      case BFLOAT16: { const bf16 x = VARIANT::to_bf16(float(v)); memcpy(p, &x, 2); return; }
      default: { const f16 x = VARIANT::to_f16(float(v)); memcpy(p, &x, 2); return; }
    }
  }
  size_t size() const { return bytes.size() / width_of(type); }
  std::vector<double> values() const {
    std::vector<double> out(size());
    for (size_t i = 0; i < out.size(); ++i) out[i] = get(int64_t(i));
    return out;
  }
  void randomize() {
    std::uniform_real_distribution<double> d(-1, 1);
    for (size_t i = 0; i < size(); ++i) set(int64_t(i), type == INT32 ? uniform(-9, 9) : d(engine));
  }
};

static double tolerance(DType t, double terms) {
  const double unit = t == FLOAT64 ? 1e-15 : t == FLOAT32 ? 6e-7 : t == INT32 ? 0 : t == BFLOAT16 ? 8e-3 : 1e-3;
  return unit * (4 + 2 * std::sqrt(terms)) + (t == INT32 ? 0 : 1e-14);
}

static void expect(const Buffer& got, const std::vector<double>& want, double tol, const std::string& what) {
  ++checks;
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::fabs(got.get(int64_t(i)) - want[i]) / std::max(1.0, std::fabs(want[i]));
    if (!(error <= worst)) worst = error, at = i;
  }
  if (worst <= tol) return;
  if (++failures <= 20) printf("FAIL %s: error %.3g at %zu (got %g, want %g)\n", what.c_str(), worst, at, got.get(int64_t(at)), want[at]);
}

// Runs with two threads and with one: the bits must agree.
static void run_twice(Buffer& result, const std::function<void()>& run, const std::string& what) {
  const Buffer before = result;
  pool_set_threads(2);
  run();
  const Buffer two = result;
  result = before;
  pool_set_threads(1);
  run();
  if (two.bytes != result.bytes && ++failures <= 20) printf("FAIL %s: 1 and 2 threads differ\n", what.c_str());
}

// ---- products -----------------------------------------------------------------------------------------------------

static void count_epilogue(void* ctx, int64_t, int, int, int rows, int cols, float* tile, int ld) {
  __atomic_fetch_add(static_cast<int64_t*>(ctx), int64_t(rows) * cols, __ATOMIC_RELAXED);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) tile[int64_t(r) * ld + c] *= 2;
}

struct Case {
  DType type;
  int m, n, k, batch = 1;
  bool ta = false, tb = false, tc = false, wide = false, accumulate = false, epilogue = false;
  int bias = 0, shared = 0;                        // shared: 1 A, 2 B serve the whole batch; 3 rows of A repeat (stride 0)
  bool floats = false;                             // B beside 16-bit A is float32
};

static void test_gemm(const Case& t) {
  char what[200];
  snprintf(what, sizeof what, "gemm %s %dx%dx%d batch %d ta%d tb%d tc%d wide%d acc%d bias%d shared%d epi%d floats%d", name_of(t.type), t.m, t.n,
           t.k, t.batch, t.ta, t.tb, t.tc, t.wide, t.accumulate, t.bias, t.shared, t.epilogue, t.floats);
  const bool half = t.type == BFLOAT16 || t.type == FLOAT16;
  const DType ctype = t.wide && half ? FLOAT32 : t.type;
  const DType btype = t.floats && half ? FLOAT32 : t.type;
  Buffer a(t.type, size_t(t.m) * t.k * t.batch), b(btype, size_t(t.k) * t.n * t.batch), c(ctype, size_t(t.m) * t.n * t.batch);
  Buffer bias(t.type, size_t(std::max(t.m, t.n)));
  a.randomize(), b.randomize(), c.randomize(), bias.randomize();
  Gemm g;
  g.dtype = t.type, g.bdtype = btype, g.cdtype = ctype, g.m = t.m, g.n = t.n, g.k = t.k, g.batchRank = 2;
  g.batchDims[0] = t.batch % 2 == 0 ? 2 : 1, g.batchDims[1] = t.batch / g.batchDims[0];
  const auto strides = [&](MatrixStrides& s, int rows, int cols, bool transposed, bool shared) {
    s.row = transposed ? 1 : cols, s.col = transposed ? rows : 1;
    s.batch[1] = shared ? 0 : int64_t(rows) * cols, s.batch[0] = s.batch[1] * g.batchDims[1];
  };
  strides(g.as, t.m, t.k, t.ta, t.shared == 1), strides(g.bs, t.k, t.n, t.tb, t.shared == 2), strides(g.cs, t.m, t.n, t.tc, false);
  if (t.shared == 3) g.as.row = 0, g.as.col = 1;
  int64_t counted = 0;
  const Epilogue epilogue{count_epilogue, &counted};
  g.a = a.bytes.data(), g.b = b.bytes.data(), g.c = c.bytes.data(), g.bias = bias.bytes.data();
  g.biasMode = t.bias, g.accumulate = t.accumulate, g.epilogue = t.epilogue ? &epilogue : nullptr;
  std::vector<double> want(c.size());
  Buffer read(t.type, b.size());                   // B as it counts
  for (size_t i = 0; i < b.size(); ++i) read.set(int64_t(i), b.get(int64_t(i)));
  const std::vector<double> av = a.values(), bv = read.values();
  for (int64_t q = 0; q < t.batch; ++q)
    for (int i = 0; i < t.m; ++i)
      for (int j = 0; j < t.n; ++j) {
        const int64_t q0 = q / g.batchDims[1], q1 = q % g.batchDims[1];
        const auto at = [&](const MatrixStrides& s, int row, int col) {
          return q0 * s.batch[0] + q1 * s.batch[1] + row * s.row + col * s.col;
        };
        const int64_t ci = at(g.cs, i, j);
        double sum = t.accumulate ? c.get(ci) : 0;
        const int64_t ai = at(g.as, i, 0), bj = at(g.bs, 0, j);
        for (int p = 0; p < t.k; ++p) sum += av[size_t(ai + p * g.as.col)] * bv[size_t(bj + p * g.bs.row)];
        sum += t.bias == 1 ? bias.get(j) : t.bias == 2 ? bias.get(i) : 0;
        want[size_t(ci)] = t.epilogue && t.type != FLOAT64 && t.type != INT32 ? 2 * sum : sum;
      }
  run_twice(c, [&] { VARIANT::gemm_run(g); }, what);
  expect(c, want, tolerance(ctype, t.k) * (half && t.wide ? 4 : 1), what);
}

static void test_gemms() {
  const int edges[] = {1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 15, 16, 17, 24, 25, 31, 32, 33, 48, 63, 64, 65, 80, 100, 112, 129};
  for (const DType type : {FLOAT32, FLOAT64, INT32, BFLOAT16, FLOAT16}) {
    for (int i = 0; i < (type == FLOAT32 ? 1500 : 400); ++i) {
      Case t{type, edges[uniform(0, 25)], edges[uniform(0, 25)], edges[uniform(0, 25)]};
      t.batch = uniform(0, 3) ? 1 : uniform(1, 6);
      t.ta = uniform(0, 1), t.tb = uniform(0, 1), t.tc = uniform(0, 5) == 0, t.wide = uniform(0, 1);
      t.accumulate = uniform(0, 3) == 0, t.bias = uniform(0, 2), t.shared = uniform(0, 3) ? 0 : uniform(1, 3);
      t.epilogue = uniform(0, 5) == 0, t.floats = uniform(0, 2) == 0;
      test_gemm(t);
    }
    for (int ta = 0; ta < 2; ++ta)
      for (int tb = 0; tb < 2; ++tb) {
        const int shapes[][3] = {{200, 300, 700}, {130, 70, 1100}, {1, 700, 900}, {900, 1, 333}, {300, 5, 400}, {3, 3, 5000}};
        for (const auto& s : shapes) {
          Case t{type, s[0], s[1], s[2]};
          t.ta = ta, t.tb = tb, t.bias = uniform(0, 2), t.accumulate = uniform(0, 1);
          if (type == FLOAT32 || type == BFLOAT16 || s[0] * s[1] < 10000) test_gemm(t);
        }
      }
    Case none{type, 5, 7, 0};
    none.bias = 1, test_gemm(none);
    none.accumulate = true, test_gemm(none);
  }
  Case big{FLOAT32, 1100, 50, 40};
  test_gemm(big);
  big = {FLOAT32, 60, 4200, 20}, test_gemm(big), big.tb = true, test_gemm(big);
  for (const int rows : {97, 200, 289}) {          // a turned B in blocks of columns, and just not
    big = {FLOAT32, rows, rows == 200 ? 2101 : 1101, rows == 200 ? 1200 : 300}, big.tb = true, big.epilogue = rows == 200, big.accumulate = rows == 97;
    test_gemm(big);
  }
  big = {BFLOAT16, 1050, 1030, 33}, test_gemm(big), big.ta = big.tb = true, test_gemm(big), big.floats = true, test_gemm(big);
  for (const bool floats : {false, true})          // few rows beside blocks of columns, in slices
    for (const bool turned : {false, true})
      for (const int rows : {7, 130, 512}) {
        big = {BFLOAT16, rows, 389, rows == 512 ? 200 : 1100}, big.floats = floats, big.tb = turned, big.bias = 1;
        big.accumulate = rows == 7, big.epilogue = rows == 130, test_gemm(big), big.wide = true, test_gemm(big);
      }
}

// ---- convolutions ---------------------------------------------------------------------------------------------------

static std::string describe(const Conv& c) {
  char text[300];
  snprintf(text, sizeof text, "conv %d %s n%d c%d o%d g%d in %d,%d,%d k %d,%d,%d s %d,%d,%d p %d,%d,%d d %d,%d,%d", c.direction,
           name_of(c.dtype), c.n, c.c, c.o, c.groups, c.in[0], c.in[1], c.in[2], c.kernel[0], c.kernel[1], c.kernel[2], c.stride[0],
           c.stride[1], c.stride[2], c.pad[0], c.pad[1], c.pad[2], c.dilation[0], c.dilation[1], c.dilation[2]);
  return text;
}

// Visits every product x[i] * w[j] -> y[l] of a convolution.
template <class Visit> static void for_each_product(const Conv& c, const Visit& visit) {
  const int cg = c.c / c.groups, og = c.o / c.groups;
  const auto volume = [](const int (&d)[3]) { return int64_t(d[0]) * d[1] * d[2]; };
  for (int n = 0; n < c.n; ++n)
    for (int o = 0; o < c.o; ++o)
      for (int64_t l = 0; l < volume(c.out); ++l)
        for (int64_t t = 0; t < volume(c.kernel); ++t) {
          const int at[3] = {int(l / (c.out[1] * c.out[2])), int(l / c.out[2] % c.out[1]), int(l % c.out[2])};
          const int tap[3] = {int(t / (c.kernel[1] * c.kernel[2])), int(t / c.kernel[2] % c.kernel[1]), int(t % c.kernel[2])};
          int64_t xi = 0;
          bool inside = true;
          for (int d = 0; d < 3; ++d) {
            const int q = at[d] * c.stride[d] - c.pad[d] + tap[d] * c.dilation[d];
            inside = inside && q >= 0 && q < c.in[d];
            xi = xi * c.in[d] + q;
          }
          if (!inside) continue;
          const int64_t plane = volume(c.in), taps = volume(c.kernel);
          for (int ch = 0; ch < cg; ++ch)
            visit((int64_t(n) * c.c + o / og * cg + ch) * plane + xi, (int64_t(o) * cg + ch) * taps + t,
                  (int64_t(n) * c.o + o) * volume(c.out) + l);
        }
}

static void test_conv(Conv c) {
  int64_t in = 1, out = 1, taps = 1;
  for (int d = 0; d < 3; ++d) {
    c.out[d] = (c.in[d] + 2 * c.pad[d] - c.dilation[d] * (c.kernel[d] - 1) - 1) / c.stride[d] + 1;
    if (c.in[d] + 2 * c.pad[d] < c.dilation[d] * (c.kernel[d] - 1) + 1) return;
    in *= c.in[d], out *= c.out[d], taps *= c.kernel[d];
  }
  for (int direction = 0; direction < 3; ++direction) {
    c.direction = Conv::Direction(direction);
    Buffer x(c.dtype, size_t(c.n * c.c * in)), w(c.dtype, size_t(c.o * (c.c / c.groups) * taps)), y(c.dtype, size_t(c.n * c.o * out));
    Buffer bias(c.dtype, size_t(c.o));
    x.randomize(), w.randomize(), y.randomize(), bias.randomize();
    c.x = x.bytes.data(), c.w = w.bytes.data(), c.y = y.bytes.data();
    c.bias = direction == 0 && uniform(0, 1) ? bias.bytes.data() : nullptr;
    int64_t counted = 0;
    const Epilogue epilogue{count_epilogue, &counted};
    const bool strided = direction == 1 && std::max({c.stride[0], c.stride[1], c.stride[2]}) > 1;
    c.epilogue = direction < 2 && !strided && c.dtype == FLOAT32 && uniform(0, 3) == 0 ? &epilogue : nullptr;
    Buffer& result = direction == 0 ? y : direction == 1 ? x : w;
    std::vector<double> want(result.size(), 0.0);
    const std::vector<double> xv = x.values(), wv = w.values(), yv = y.values();
    for_each_product(c, [&](int64_t xi, int64_t wi, int64_t yi) {
      if (direction == 0) want[size_t(yi)] += xv[size_t(xi)] * wv[size_t(wi)];
      else if (direction == 1) want[size_t(xi)] += yv[size_t(yi)] * wv[size_t(wi)];
      else want[size_t(wi)] += xv[size_t(xi)] * yv[size_t(yi)];
    });
    for (size_t i = 0; c.bias && i < want.size(); ++i) want[i] += bias.get(int64_t(i) / out % c.o);
    for (size_t i = 0; c.epilogue && i < want.size(); ++i) want[i] *= 2;
    run_twice(result, [&] { VARIANT::conv_run(c); }, describe(c));
    expect(result, want, tolerance(c.dtype, direction == 2 ? c.n * out : direction == 1 ? c.o * taps : c.c * taps), describe(c));
    if (c.epilogue && counted != int64_t(result.size()) * 2 && ++failures <= 20)
      printf("FAIL %s: epilogue saw %ld of %zu elements\n", describe(c).c_str(), long(counted / 2), result.size());
  }
}

static void test_convs() {
  for (const DType type : {FLOAT32, FLOAT64, INT32, BFLOAT16, FLOAT16})
    for (int i = 0; i < (type == FLOAT32 ? 400 : 60); ++i) {
      Conv c;
      c.dtype = type, c.n = uniform(1, 6);
      c.groups = uniform(0, 2) ? 1 : uniform(2, 4);
      const bool depthwise = uniform(0, 5) == 0;
      c.c = c.groups * (depthwise ? 1 : uniform(1, 7)), c.o = c.groups * (depthwise ? uniform(1, 2) : uniform(1, uniform(0, 2) ? 20 : 70));
      const int rank = uniform(0, 3) ? 2 : uniform(1, 3);
      for (int d = 3 - rank; d < 3; ++d) {
        c.in[d] = rank == 3 ? uniform(1, 7) : rank == 1 ? uniform(1, 60) : uniform(1, 19);
        c.kernel[d] = uniform(1, rank == 1 ? 5 : 4), c.stride[d] = uniform(0, 1) ? 1 : uniform(1, 3);
        c.pad[d] = uniform(0, 2), c.dilation[d] = uniform(0, 2) ? 1 : 2;
      }
      test_conv(c);
    }
  const auto square = [](int n, int ch, int o, int size, int k, int s, int p) {
    Conv c;
    c.n = n, c.c = ch, c.o = o;
    for (int d = 1; d < 3; ++d) c.in[d] = size, c.kernel[d] = k, c.stride[d] = s, c.pad[d] = p;
    return c;
  };
  for (const Conv& c : {square(3, 1, 32, 28, 3, 1, 1), square(2, 32, 64, 14, 3, 1, 1), square(5, 3, 16, 32, 3, 1, 1),
                        square(4, 16, 32, 32, 3, 2, 1), square(2, 16, 32, 32, 1, 2, 0), square(1, 3, 20, 64, 16, 16, 0),
                        square(1, 4, 8, 70, 7, 2, 3), square(9, 5, 6, 4, 4, 1, 0)})
    test_conv(c);
  Conv line;                                       // longer than a strip
  line.n = 2, line.c = 2, line.o = 5, line.in[2] = 1500, line.kernel[2] = 5, line.pad[2] = 2;
  test_conv(line);
  line.stride[2] = 2, test_conv(line);
  line.c = line.o = 32, test_conv(line);
  line.stride[2] = 1, test_conv(line);
  for (int d = 0; d < 20; ++d)                     // vectors of channels, both ways
    test_conv(square(uniform(1, 9), uniform(12, 70), uniform(12, 70), uniform(3, 14), uniform(1, 4), uniform(1, 3), uniform(0, 2)));
  for (int d = 0; d < 60; ++d) {                   // a channel each: kernels of 3, 5 and 7 rows and others, all edges, lines
    Conv c = square(uniform(1, 10), uniform(4, 40), 0, 1, 1, 1, 0);
    c.dtype = d % 6 == 5 ? FLOAT64 : FLOAT32, c.o = c.groups = c.c;
    for (int i = d % 10 == 9 ? 2 : 1; i < 3; ++i) {
      c.in[i] = uniform(1, 36), c.kernel[i] = uniform(0, 1) ? 2 * uniform(1, 4) + 1 : uniform(1, 9), c.stride[i] = uniform(0, 1) ? 1 : uniform(1, 3);
      c.pad[i] = uniform(0, c.kernel[i] / 2), c.dilation[i] = uniform(0, 2) ? 1 : 2;
    }
    if (uniform(0, 1)) c.in[1] = c.in[2], c.kernel[1] = c.kernel[2], c.stride[1] = c.stride[2], c.dilation[1] = c.dilation[2] = 1;
    c.pad[1] = std::min(c.pad[1], c.kernel[1] / 2);
    test_conv(c);
  }
  for (int d = 0; d < 12; ++d) {                   // volumes: taps in depth, groups
    Conv c = square(uniform(1, 3), uniform(12, 36), uniform(12, 36), uniform(9, 14), 3, 1, uniform(0, 2));
    c.in[0] = uniform(1, 7), c.kernel[0] = uniform(1, 3), c.pad[0] = uniform(0, 2), c.dilation[0] = uniform(1, 2), c.in[2] = uniform(9, 20);
    c.groups = uniform(0, 3) ? 1 : 2, c.c *= c.groups, c.o *= c.groups;
    test_conv(c);
  }
  for (int d = 0; d < 12; ++d) {                   // tiles of 2x2 results: odd sizes, narrow panels, groups
    Conv c = square(uniform(1, 4), uniform(8, 36), uniform(8, 36), uniform(9, 14), 3, 1, uniform(0, 2));
    c.in[2] = uniform(9, 24), c.groups = uniform(0, 3) ? 1 : 2, c.c *= c.groups, c.o *= c.groups;
    test_conv(c);
  }
}

// ---- speed ------------------------------------------------------------------------------------------------------------

// Processor time of this thread when it works alone (others may use the machine), else the wall's.
static double clock_now() {
  timespec t;
  clock_gettime(pool_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// The best of many short rounds.
static double seconds(const std::function<void()>& run, double flops) {
  run();
  const int repeats = std::max(1, int(2e8 / flops));
  double best = 1e9, spent = 0;
  for (int i = 0; i < 40 && (i < 5 || spent < 0.25); ++i) {
    const double start = clock_now();
    for (int r = 0; r < repeats; ++r) run();
    const double time = clock_now() - start;
    best = std::min(best, time / repeats), spent += time;
  }
  return best;
}

// What the multipliers can do at this moment (a shared machine changes its mind): twelve chains of multiply-add.
static double peak() {
  using namespace VARIANT;
  vf acc[12];
  for (int i = 0; i < 12; ++i) acc[i] = broadcast(float(i));
  const vf b = broadcast(0.999f), c = broadcast(0.001f);
  const int count = 200000;
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {
    const double start = clock_now();
    for (int it = 0; it < count; ++it)
#pragma GCC unroll 12
      for (int j = 0; j < 12; ++j) acc[j] = fma(acc[j], b, c);
    best = std::min(best, clock_now() - start);
  }
  vf total = {};
  for (const vf& v : acc) total += v;
  volatile float sink = sum(total);
  (void)sink;
  return 2.0 * 12 * LANES * count / best / 1e9;
}

static void bench_gemms() {
  const int shapes[][3] = {{64, 64, 64}, {128, 128, 128}, {256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024}, {2048, 2048, 2048},
                           {64, 256, 784}, {64, 128, 256}, {64, 10, 128}, {256, 4096, 1024}, {1024, 384, 128}, {32, 1024, 256},
                           {128, 128, 32}, {1, 4096, 4096}, {4, 1024, 1024}};
  printf("GFLOP/s (share of the peak of the same moment)   NN, TN, NT, TT\n");
  for (const auto& s : shapes) {
    const int m = s[0], n = s[1], k = s[2];
    std::vector<float> a(size_t(m) * k, 0.5f), b(size_t(k) * n, 0.25f), c(size_t(m) * n);
    printf("%4d x %4d x %4d ", m, n, k);
    for (int kind = 0; kind < 4; ++kind) {
      Gemm g;
      g.m = m, g.n = n, g.k = k, g.a = a.data(), g.b = b.data(), g.c = c.data(), g.cs.row = n, g.cs.col = 1;
      g.as.row = kind & 1 ? 1 : k, g.as.col = kind & 1 ? m : 1, g.bs.row = kind & 2 ? 1 : n, g.bs.col = kind & 2 ? k : 1;
      const double flops = 2.0 * m * n * k, top = peak(), t = seconds([&] { VARIANT::gemm_run(g); }, flops);
      printf("  %6.1f (%3.0f%%)", flops / t / 1e9, 100 * flops / t / 1e9 / top / pool_threads());
      fflush(stdout);
    }
    printf("\n");
  }
}

static void bench_convs() {
  struct Shape { const char* name; int n, c, o, size, k, s, p, groups; };
  const Shape shapes[] = {{"cnn conv1", 64, 1, 32, 28, 3, 1, 1, 1}, {"cnn conv2", 64, 32, 64, 14, 3, 1, 1, 1},
                          {"resnet first", 64, 3, 16, 32, 3, 1, 1, 1}, {"resnet 16", 64, 16, 16, 32, 3, 1, 1, 1},
                          {"resnet 16-32/2", 64, 16, 32, 32, 3, 2, 1, 1}, {"resnet 32", 64, 32, 32, 16, 3, 1, 1, 1},
                          {"resnet 64", 64, 64, 64, 8, 3, 1, 1, 1}, {"1x1 64", 64, 64, 64, 14, 1, 1, 0, 1},
                          {"shortcut 1x1/2", 64, 16, 32, 32, 1, 2, 0, 1},
                          {"depthwise 64", 64, 64, 64, 28, 3, 1, 1, 64}, {"one 56x56", 1, 64, 64, 56, 3, 1, 1, 1}};
  printf("milliseconds (share of peak)       forward     input gradient    weight gradient\n");
  for (const Shape& s : shapes) {
    Conv c;
    c.n = s.n, c.c = s.c, c.o = s.o, c.groups = s.groups;
    for (int d = 1; d < 3; ++d) {
      c.in[d] = s.size, c.kernel[d] = s.k, c.stride[d] = s.s, c.pad[d] = s.p;
      c.out[d] = (s.size + 2 * s.p - s.k) / s.s + 1;
    }
    std::vector<float> x(size_t(s.n) * s.c * s.size * s.size, 0.5f), w(size_t(s.o) * s.c / s.groups * s.k * s.k, 0.25f);
    std::vector<float> y(size_t(s.n) * s.o * c.out[1] * c.out[2], 0.125f);
    for (auto* values : {&x, &w, &y})
      for (float& value : *values) value = float(uniform(-1000, 1000)) / 1000;
    c.x = x.data(), c.w = w.data(), c.y = y.data();
    const double flops = 2.0 * y.size() * s.c / s.groups * s.k * s.k;
    printf("%-24s", s.name);
    for (int direction = 0; direction < 3; ++direction) {
      c.direction = Conv::Direction(direction);
      const double top = peak(), t = seconds([&] { VARIANT::conv_run(c); }, flops);
      printf("   %8.3f (%3.0f%%)", t * 1e3, 100 * flops / t / 1e9 / top / pool_threads());
      fflush(stdout);
    }
    printf("\n");
  }
}

static void bench_pool() {
  pool_set_threads(2);
  const auto nothing = [](int64_t, int) {};
  const double busy = seconds([&] { parallel(2, nothing); }, 1e5);
  printf("an empty parallel_for of two tasks: %.2f us\n", busy * 1e6);
}

int main(int count, char** words) {
  printf("variant %s\n", NAME(VARIANT));
  if (count > 1 && !strcmp(words[1], "bench")) {
    bench_pool();
    pool_set_threads(count > 2 ? atoi(words[2]) : 1);
    printf("peak %.1f GFLOP/s a thread, %d threads\n", peak(), pool_threads());
    const std::string only = count > 3 ? words[3] : "";
    if (only != "conv") bench_gemms();
    if (only != "gemm") bench_convs();
    return 0;
  }
  test_gemms();
  test_convs();
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
