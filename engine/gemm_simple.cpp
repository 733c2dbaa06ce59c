// Products and convolutions with little code: of int32, which is rare, and of doubles where the engine must be small to load.
#include "simd.h"
#include "gemm_api.h"
#include "pool.h"
#include "tape.h"

namespace chainrule::VARIANT {

namespace {

// Where to add and multiply: integers wrap.
template <class T> struct WrapOf { typedef T type; };
template <> struct WrapOf<int32_t> { typedef uint32_t type; };
template <class T> using Wrap = typename WrapOf<T>::type;

constexpr int64_t GRAIN = 1 << 16;                 // products of a task, at least
constexpr int BLOCK = 256;                         // columns in flight

// task(i) for i < count; each costs so many products.
template <class Task> void share(int64_t count, int64_t cost, const Task& task) {
  const int64_t each = max<int64_t>(1, GRAIN / max<int64_t>(1, cost));
  parallel((count + each - 1) / each, [&](int64_t part, int) {
    for (int64_t i = part * each; i < min(count, (part + 1) * each); ++i) task(i);
  });
}

// total[j] += sum over p of a[p * aStep] * b[p * bRow + j * bCol], for j < n <= BLOCK.
void add_products(const int32_t* a, int64_t aStep, const int32_t* b, int64_t bRow, int64_t bCol, int k, int n, int32_t* total) {
  const int whole = bCol == 1 ? n / LANES * LANES : 0;
  for (int p = 0; whole && p < k; p += 4) {        // four rows of b at a time; behind the last one, nothing times its first
    vu factor[4];
    const int32_t* row[4];
    for (int d = 0; d < 4; ++d) {
      const int64_t at = p + d < k ? p + d : 0;
      factor[d] = (vu)broadcast(p + d < k ? a[at * aStep] : 0), row[d] = b + at * bRow;
    }
    const vu f0 = factor[0], f1 = factor[1], f2 = factor[2], f3 = factor[3];
    const int32_t *b0 = row[0], *b1 = row[1], *b2 = row[2], *b3 = row[3];
    for (int j = 0; j < whole; j += LANES) {
      const vu sum = f0 * (vu)load(b0 + j) + f1 * (vu)load(b1 + j) + (f2 * (vu)load(b2 + j) + f3 * (vu)load(b3 + j));
      store(total + j, (vi)((vu)load(total + j) + sum));
    }
  }
  for (int j = whole; j < n; ++j) {
    const int32_t* const column = b + j * bCol;
    uint32_t sum = uint32_t(total[j]);
    int p = 0;
    if (aStep == 1 && bRow == 1) {
      vu part{};
      for (; p + LANES <= k; p += LANES) part += (vu)load(a + p) * (vu)load(column + p);
      for (int l = 0; l < LANES; ++l) sum += part[l];
    }
    for (; p < k; ++p) sum += uint32_t(a[p * aStep]) * uint32_t(column[p * bRow]);
    total[j] = int32_t(sum);
  }
}

// A row of C is a task.
void multiply_rows(const Gemm& g) {
  const int m = g.m, n = g.n;
  int64_t batches = 1;
  for (int d = 0; d < g.batchRank; ++d) batches *= g.batchDims[d];
  share(batches * m, int64_t(n) * g.k, [&](int64_t task) {
    const int64_t row = task % m;
    int64_t rest = task / m, a = row * g.as.row, b = 0, c = row * g.cs.row;
    for (int d = g.batchRank - 1; d >= 0; --d) {
      const int64_t at = rest % g.batchDims[d];
      rest /= g.batchDims[d], a += at * g.as.batch[d], b += at * g.bs.batch[d], c += at * g.cs.batch[d];
    }
    const int32_t* const bias = static_cast<const int32_t*>(g.bias);
    for (int j0 = 0; j0 < n; j0 += BLOCK) {
      const int width = min(BLOCK, n - j0);
      int32_t* const to = static_cast<int32_t*>(g.c) + c + j0 * g.cs.col;
      int32_t total[BLOCK] = {};
      for (int j = 0; j < width; ++j) {
        const uint32_t start = g.accumulate ? uint32_t(to[j * g.cs.col]) : 0u;
        total[j] = int32_t(start + (g.biasMode ? uint32_t(bias[g.biasMode == 1 ? j0 + j : row]) : 0u));
      }
      const int32_t* const from = static_cast<const int32_t*>(g.b) + b + j0 * g.bs.col;
      add_products(static_cast<const int32_t*>(g.a) + a, g.as.col, from, g.bs.row, g.bs.col, g.k, width, total);
      for (int j = 0; j < width; ++j) to[j * g.cs.col] = total[j];
    }
  });
}

// ---- convolutions: for every tap, line by line ---------------------------------------------------------------------------------

// Outputs [first, end) of an axis that read inside the image at this tap; output o reads o * stride + shift.
struct Reach {
  int first, end, shift;
  Reach(const Conv& c, int axis, int tap) : shift(tap * c.dilation[axis] - c.pad[axis]) {
    const int stride = c.stride[axis];
    first = shift >= 0 ? 0 : (stride - 1 - shift) / stride;
    end = c.in[axis] > shift ? min(c.out[axis], (c.in[axis] - 1 - shift) / stride + 1) : 0;
  }
};

// Calls line(x, y, n) for a tap's lines: where in the planes of x and y they start, and the number of outputs.
template <class Line> void for_lines(const Conv& c, int tap, const Line& line) {
  const Reach z(c, 0, tap / (c.kernel[1] * c.kernel[2])), y(c, 1, tap / c.kernel[2] % c.kernel[1]), x(c, 2, tap % c.kernel[2]);
  if (x.end <= x.first) return;
  for (int oz = z.first; oz < z.end; ++oz)
    for (int oy = y.first; oy < y.end; ++oy) {
      const int64_t iz = oz * int64_t(c.stride[0]) + z.shift, iy = oy * int64_t(c.stride[1]) + y.shift;
      const int64_t from = (iz * c.in[1] + iy) * c.in[2] + x.first * int64_t(c.stride[2]) + x.shift;
      line(from, (int64_t(oz) * c.out[1] + oy) * c.out[2] + x.first, x.end - x.first);
    }
}

template <class T> struct SimpleConv {
  typedef Wrap<T> W;
  const Conv& c;
  int channels, rows, taps;                        // of a group: of x, of y; kernel size
  int64_t inSize, outSize;

  explicit SimpleConv(const Conv& conv) : c(conv), channels(c.c / c.groups), rows(c.o / c.groups) {
    taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
    inSize = product(c.in, 3), outSize = product(c.out, 3);
  }
  T* x_plane(int64_t image, int64_t channel) const { return static_cast<T*>(c.x) + (image * c.c + channel) * inSize; }
  T* y_plane(int64_t image, int64_t channel) const { return static_cast<T*>(c.y) + (image * c.o + channel) * outSize; }
  T* weights(int64_t o, int64_t channel) const { return static_cast<T*>(c.w) + (o * channels + channel) * taps; }

  void forward() const {
    share(int64_t(c.n) * c.o, outSize * channels * taps, [&](int64_t task) {
      const int64_t image = task / c.o, o = task % c.o, first = o / rows * channels;
      T* const y = y_plane(image, o);
      const T start = c.bias ? static_cast<const T*>(c.bias)[o] : T(0);
      for (int64_t i = 0; i < outSize; ++i) y[i] = start;
      for (int channel = 0; channel < channels; ++channel)
        for (int tap = 0; tap < taps; ++tap) add_tap(x_plane(image, first + channel), y, W(weights(o, channel)[tap]), tap);
    });
  }
  void add_tap(const T* x, T* y, W w, int tap) const {
    const int64_t stride = c.stride[2];
    for_lines(c, tap, [&](int64_t from, int64_t to, int n) {
      T* __restrict const out = y + to;            // planes do not overlap: the compiler need not ask
      const T* __restrict const in = x + from;
      if (stride == 1) for (int i = 0; i < n; ++i) out[i] = T(W(out[i]) + w * W(in[i]));
      else for (int i = 0; i < n; ++i) out[i] = T(W(out[i]) + w * W(in[i * stride]));
    });
  }

  void input_gradient() const {
    share(int64_t(c.n) * c.c, outSize * rows * taps, [&](int64_t task) {
      const int64_t image = task / c.c, channel = task % c.c, group = channel / channels, stride = c.stride[2];
      T* const x = x_plane(image, channel);
      for (int64_t i = 0; i < inSize; ++i) x[i] = T(0);
      for (int64_t o = group * rows; o < (group + 1) * rows; ++o)
        for (int tap = 0; tap < taps; ++tap) {
          const T* const y = y_plane(image, o);
          const W w = W(weights(o, channel % channels)[tap]);
          for_lines(c, tap, [&](int64_t to, int64_t from, int n) {
            T* __restrict const out = x + to;
            const T* __restrict const in = y + from;
            if (stride == 1) for (int i = 0; i < n; ++i) out[i] = T(W(out[i]) + w * W(in[i]));
            else for (int i = 0; i < n; ++i) out[i * stride] = T(W(out[i * stride]) + w * W(in[i]));
          });
        }
    });
  }

  void weight_gradient() const {
    share(int64_t(c.o) * channels, outSize * c.n * taps, [&](int64_t task) {
      const int64_t o = task / channels, channel = task % channels, stride = c.stride[2];
      for (int tap = 0; tap < taps; ++tap) {
        W total = 0;
        for (int image = 0; image < c.n; ++image) {
          const T *x = x_plane(image, o / rows * channels + channel), *y = y_plane(image, o);
          for_lines(c, tap, [&](int64_t from, int64_t to, int n) {
            for (int i = 0; i < n; ++i) total += W(y[to + i]) * W(x[from + i * stride]);
          });
        }
        weights(o, channel)[tap] = T(total);
      }
    });
  }

  void run() const {
    if (c.direction == Conv::FORWARD) forward();
    else if (c.direction == Conv::INPUT_GRADIENT) input_gradient();
    else weight_gradient();
  }
};

}  // namespace

void simple_gemm(const Gemm& g) { multiply_rows(g); }

void simple_conv(const Conv& c) {
#ifdef __wasm__
  if (c.dtype == FLOAT64) return SimpleConv<double>(c).run();
#endif
  SimpleConv<int32_t>(c).run();
}

}  // namespace chainrule::VARIANT
