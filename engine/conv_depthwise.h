// Depthwise convolutions: one channel of the image makes one of the result. There is no matrix product in them; what counts is that
// a number that was loaded meets many others. A vector of the padded image meets all the rows of results that it belongs to,
// a vector of the gradient all the taps of the weights.
//
// The input gradient is the same walk over the gradient with zeros between its numbers (where there is a stride), taps backwards.
#pragma once
#include "conv.h"

namespace chainrule::VARIANT {

// One axis: result i reads the numbers i * step + tap * dilation of the padded source.
struct DepthwiseAxis {
  int size, spread;                                // of the source, whose numbers lie `spread` apart in the padded one
  int pad, step, kernel, dilation, results;

  DepthwiseAxis(const Conv& c, int i, bool gradient) : kernel(c.kernel[i]), dilation(c.dilation[i]) {
    size = gradient ? c.out[i] : c.in[i], results = gradient ? c.in[i] : c.out[i];
    spread = gradient ? c.stride[i] : 1, step = gradient ? 1 : c.stride[i];
    pad = gradient ? (kernel - 1) * dilation - c.pad[i] : c.pad[i];
  }
  int length(int count) const { return (count - 1) * step + (kernel - 1) * dilation + 1; }  // that `count` results read
};

// Keeps the compiler from loading a vector again for each of its uses: loads off a vector's edge cost two.
template <class V> INLINE void keep_loaded(V& v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#endif
}

template <class T> struct Depthwise {
  typedef Vec<T> V;
  static constexpr int L = lanes<T>;
  static constexpr int ROWS = 8;                   // of results, at most, at a time
  static constexpr int TOGETHER = 9;               // taps of the weights' gradient whose sums stay in registers
  const Conv& conv;
  bool gradient;
  DepthwiseAxis high, wide;
  int64_t phase, pitch;                            // a padded row is `wide.step` phases of this length
  int64_t rows, taps, sourceSize, resultSize;
  const T* from;
  T* to;

  static bool suits(const Conv& c) {
    bool fits = c.c == c.groups && c.o == c.groups && c.in[0] == 1 && c.kernel[0] == 1 && c.stride[0] == 1 && c.pad[0] == 0;
    for (int i = 1; i < 3; ++i) fits = fits && c.pad[i] <= (c.kernel[i] - 1) * c.dilation[i];
    return fits && int64_t(c.n) * c.c >= 4 && (c.kernel[1] > 1 || c.kernel[2] > 1);
  }

  explicit Depthwise(const Conv& c)
      : conv(c), gradient(c.direction == Conv::INPUT_GRADIENT), high(c, 1, gradient), wide(c, 2, gradient) {
    const int columns = max(wide.length((wide.results + L - 1) / L * L), wide.pad + (wide.size - 1) * wide.spread + 1);
    phase = columns / wide.step + 2, pitch = phase * wide.step;
    rows = high.length((high.results + ROWS - 1) / ROWS * ROWS);
    taps = int64_t(c.kernel[1]) * c.kernel[2];
    sourceSize = int64_t(high.size) * wide.size, resultSize = int64_t(high.results) * wide.results;
    from = static_cast<const T*>(gradient ? c.y : c.x);
    to = static_cast<T*>(gradient ? c.x : c.y);
  }

  // A padded image; the tail of a row's last vector falls into what follows.
  int64_t imageSize() const { return (rows * pitch + 2 * L + L - 1) / L * L; }
  int64_t column(int x) const { return x % wide.step * phase + x / wide.step; }

  // Every second number of a row, and those between.
  template <int... I> INLINE static void part_in_two(const T* source, int count, T* even, T* odd, Indices<I...>) {
    for (int x = 0; x < count; x += 2 * L, even += L, odd += L) {
      const V a = load_part(source + x, min(L, count - x)), b = load_part(source + x + L, max(0, min(L, count - x - L)));
      const int some = min(2 * L, count - x);
      store_part<T>(even, __builtin_shufflevector(a, b, (2 * I)...), (some + 1) / 2);
      store_part<T>(odd, __builtin_shufflevector(a, b, (2 * I + 1)...), some / 2);
    }
  }
  // A row with a zero behind each of its numbers.
  template <int... I> INLINE static void spread_by_two(const T* source, int count, T* row, Indices<I...>) {
    for (int x = 0; x < count; x += L, row += 2 * L) {
      const int part = min(L, count - x);
      const V v = load_part(source + x, part);
      store_part<T>(row, __builtin_shufflevector(v, V{}, (I % 2 ? L : I / 2)...), 2 * part);
      store_part<T>(row + L, __builtin_shufflevector(v, V{}, (I % 2 ? L : L / 2 + I / 2)...), max(0, 2 * part - L));
    }
  }

  // One channel with zeros around it, which the caller has cleared. Rows come in order: what one writes beyond its end, the next mends.
  NOINLINE void fill(const T* source, T* image) const {
    for (int y = 0; y < high.size; ++y, source += wide.size) {
      const int64_t at = high.pad + int64_t(y) * high.spread;
      if (at >= rows) return;
      T* row = image + at * pitch;
      if (wide.spread == 2) {
        spread_by_two(source, wide.size, row + wide.pad, typename UpTo<L>::type{});
      } else if (wide.step == 2) {
        part_in_two(source, wide.size, row + column(wide.pad), row + column(wide.pad + 1), typename UpTo<L>::type{});
      } else if (wide.spread > 1 || wide.step > 1) {
        for (int x = 0; x < wide.size; ++x) row[column(wide.pad + x * wide.spread)] = source[x];
      } else {
        for (int x = 0; x < wide.size; x += L) store(row + wide.pad + x, load_part(source + x, min(L, wide.size - x)));
      }
    }
  }

  // Results of COUNT rows by a vector of columns, from the corner of what they read. HEIGHT taps lie below each other.
  template <int HEIGHT, int STEP, int COUNT>
  NOINLINE void block(const T* corner, const int64_t* reads, const T* weights, V bias, T* out, int count) const {
    for (int x = 0; x < wide.results; x += L, corner += L) {
      V sum[COUNT];
#pragma GCC unroll 8
      for (int r = 0; r < COUNT; ++r) sum[r] = bias;
      for (int kx = 0; kx < wide.kernel; ++kx) {
        const T* row = corner + reads[kx];
        V w[HEIGHT];
#pragma GCC unroll 8
        for (int ky = 0; ky < HEIGHT; ++ky) w[ky] = broadcast(weights[ky * wide.kernel + kx]);
#pragma GCC unroll 24
        for (int y = 0; y < (COUNT - 1) * STEP + HEIGHT; ++y, row += pitch) {
          V v = load(row);
          keep_loaded(v);
#pragma GCC unroll 8
          for (int r = 0; r < COUNT; ++r)
            if (y - r * STEP >= 0 && y - r * STEP < HEIGHT) sum[r] = fma(w[y - r * STEP], v, sum[r]);
        }
      }
      const int part = min(L, wide.results - x);
#pragma GCC unroll 8
      for (int r = 0; r < COUNT; ++r)
        if (r < count) store_part<T>(out + r * int64_t(wide.results) + x, sum[r], part);
    }
  }

  // Any kernel, as many vectors of results as hide the time of a multiply-add.
  template <int COUNT> INLINE void vectors(const T* const* corner, const int64_t* reads, const T* weights, V bias, T* const* out, int part) const {
    const T* base[COUNT];
    V sum[COUNT];
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i) base[i] = corner[i], sum[i] = bias;
    for (int64_t t = 0; t < taps; ++t) {
      const V w = broadcast(weights[t]);
      const int64_t at = reads[t];
#pragma GCC unroll 8
      for (int i = 0; i < COUNT; ++i) sum[i] = fma(w, load(base[i] + at), sum[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i) store_part<T>(out[i], sum[i], COUNT == 1 ? part : L);
  }

  // Rows [y, y + count) of any kernel: whole vectors eight at a time, the rest of each row one by one.
  NOINLINE void rows_of_any(const T* image, const int64_t* reads, const T* weights, V bias, T* out, int y, int count) const {
    const T* corner[ROWS];
    T* result[ROWS];
    int held = 0;
    for (int r = 0; r < count; ++r)
      for (int x = 0; x < wide.results; x += L) {
        corner[held] = image + int64_t(y + r) * high.step * pitch + x, result[held] = out + r * int64_t(wide.results) + x;
        const int part = min(L, wide.results - x);
        if (part < L) vectors<1>(corner + held, reads, weights, bias, result + held, part);
        else if (++held == ROWS) vectors<ROWS>(corner, reads, weights, bias, result, L), held = 0;
      }
    for (int i = 0; i < held; ++i) vectors<1>(corner + i, reads, weights, bias, result + i, L);
  }

  typedef void (Depthwise::*Block)(const T*, const int64_t*, const T*, V, T*, int) const;
  template <int STEP> static Block pick(int height, bool sevens) {
    switch (height) {
      case 3: return sevens ? &Depthwise::template block<3, STEP, 7> : &Depthwise::template block<3, STEP, 8>;
      case 5: return sevens ? &Depthwise::template block<5, STEP, 7> : &Depthwise::template block<5, STEP, 8>;
      case 7: return sevens ? &Depthwise::template block<7, STEP, 7> : &Depthwise::template block<7, STEP, 8>;
      default: return nullptr;
    }
  }
  // The kernel for blocks of `each` rows: images of 7, 14, 28 ... rows are cut into sevens. Null: rows_of_any.
  Block kernel(int& each) const {
    each = ROWS;
    if (high.dilation != 1 || high.results < 4 || high.step > 2) return nullptr;
    const bool sevens = (high.results + 6) / 7 * 7 < (high.results + 7) / 8 * 8;
    const Block found = high.step == 1 ? pick<1>(high.kernel, sevens) : pick<2>(high.kernel, sevens);
    if (found && sevens) each = 7;
    return found;
  }

  void plane(int64_t item, const T* image, const int64_t* reads, const T* turned) const {
    const int channel = int(item % conv.c);
    const T* bias = gradient ? nullptr : static_cast<const T*>(conv.bias);
    const V add = broadcast(bias ? bias[channel] : T(0));
    const T* weights = turned + channel * taps;
    T* result = to + item * resultSize;
    int each;
    const Block run = kernel(each);
    for (int y = 0; y < high.results; y += each) {
      const int count = min(each, high.results - y);
      const int64_t first = int64_t(y) * wide.results;
      if (run) (this->*run)(image + int64_t(y) * high.step * pitch, reads, weights, add, result + first, count);
      else rows_of_any(image, reads, weights, add, result + first, y, count);
      conv.done(item / conv.c, channel, first, 1, int64_t(count) * wide.results, result + first, resultSize);
    }
  }

  void list_reads(int64_t* reads) const {
    for (int ky = 0; ky < high.kernel; ++ky)
      for (int kx = 0; kx < wide.kernel; ++kx) *reads++ = ky * int64_t(high.dilation) * pitch + column(kx * wide.dilation);
  }

  void run() const {
    if (conv.direction == Conv::WEIGHT_GRADIENT) return run_weights();
    int64_t* reads = static_cast<int64_t*>(pool_scratch(0, size_t(taps * sizeof(int64_t) + conv.c * taps * sizeof(T)), SHARED));
    T* turned = reinterpret_cast<T*>(reads + taps);
    list_reads(reads);
    const T* w = static_cast<const T*>(conv.w);
    for (int64_t c = 0; c < conv.c; ++c)
      for (int64_t t = 0; t < taps; ++t) turned[c * taps + t] = w[c * taps + (gradient ? taps - 1 - t : t)];
    const int64_t items = int64_t(conv.n) * conv.c, each = max<int64_t>(1, items / (8 * pool_threads()));
    parallel((items + each - 1) / each, [&](int64_t task, int worker) {
      T* image = static_cast<T*>(pool_scratch(worker, size_t(imageSize()) * sizeof(T), LOCAL));
      clear(image, imageSize());
      for (int64_t item = task * each; item < min(items, (task + 1) * each); ++item) {
        fill(from + item * sourceSize, image);
        plane(item, image, reads, turned);
      }
    });
  }

  // Adds an image's share to the sums of COUNT taps, each a vector whose lanes are still to be added.
  template <int COUNT> NOINLINE void correlate(const T* image, const T* g, const int64_t* reads, T* total) const {
    V sum[COUNT];
#pragma GCC unroll 9
    for (int i = 0; i < COUNT; ++i) sum[i] = load(total + i * L);
    for (int y = 0; y < high.results; ++y, image += high.step * pitch, g += wide.results)
      for (int x = 0; x < wide.results; x += L) {
        const int part = min(L, wide.results - x);
        const V v = load_part(g + x, part);
#pragma GCC unroll 9
        for (int i = 0; i < COUNT; ++i) sum[i] = fma(load_part(image + x + reads[i], part), v, sum[i]);
      }
#pragma GCC unroll 9
    for (int i = 0; i < COUNT; ++i) store(total + i * L, sum[i]);
  }

  // The same for COUNT columns of HEIGHT taps without stride or dilation: a row of the image meets HEIGHT rows of the gradient, which
  // move on from one register to the next.
  template <int HEIGHT, int COUNT> NOINLINE void columns(const T* image, const T* g, const int64_t* reads, T* total) const {
    V sum[COUNT][HEIGHT];
    const int64_t next = int64_t(wide.kernel) * L;
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 8
      for (int ky = 0; ky < HEIGHT; ++ky) sum[i][ky] = load(total + ky * next + i * L);
    for (int x = 0; x < wide.results; x += L) {
      const int part = min(L, wide.results - x);
      V held[HEIGHT] = {};
      const T *row = image + x, *from = g + x;
      for (int y = 0; y < high.results + HEIGHT - 1; ++y, row += pitch, from += wide.results) {
#pragma GCC unroll 8
        for (int ky = HEIGHT - 1; ky > 0; --ky) held[ky] = held[ky - 1];
        held[0] = y < high.results ? load_part(from, part) : V{};
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i) {
          V v = load_part(row + reads[i], part);
          keep_loaded(v);
#pragma GCC unroll 8
          for (int ky = 0; ky < HEIGHT; ++ky) sum[i][ky] = fma(v, held[ky], sum[i][ky]);
        }
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 8
      for (int ky = 0; ky < HEIGHT; ++ky) store(total + ky * next + i * L, sum[i][ky]);
  }

  // As many columns as let their sums and the rows of the gradient fit the registers.
  template <int HEIGHT> void by_columns(const T* image, const T* g, const int64_t* reads, T* total) const {
    constexpr int WIDEST = max(1, min(3, ((VECTOR_BYTES >= 64 ? 32 : 16) - HEIGHT - 2) / HEIGHT));
    int kx = 0;
    for (; kx + WIDEST <= wide.kernel; kx += WIDEST) columns<HEIGHT, WIDEST>(image, g, reads + kx, total + kx * L);
    for (; kx < wide.kernel; ++kx) columns<HEIGHT, 1>(image, g, reads + kx, total + kx * L);
  }

  void add_image(const T* image, const T* g, const int64_t* reads, T* total) const {
    const bool dense = high.step == 1 && high.dilation == 1;
    if (dense && high.kernel == 3) return by_columns<3>(image, g, reads, total);
    if (dense && high.kernel == 5) return by_columns<5>(image, g, reads, total);
    if (dense && high.kernel == 7) return by_columns<7>(image, g, reads, total);
    int64_t t = 0;
    for (; t + TOGETHER <= taps; t += TOGETHER) correlate<TOGETHER>(image, g, reads + t, total + t * L);
    for (; t + 3 <= taps; t += 3) correlate<3>(image, g, reads + t, total + t * L);
    for (; t < taps; ++t) correlate<1>(image, g, reads + t, total + t * L);
  }

  // The images are cut into slices where there are few channels; their sums are added in order.
  void run_weights() const {
    const int64_t slices = conv.c >= 32 ? 1 : min(8, conv.n), some = (conv.n + slices - 1) / slices, all = conv.c * taps;
    T* const sums = static_cast<T*>(pool_scratch(0, size_t(slices * all * sizeof(T) + taps * sizeof(int64_t)) + 64, SHARED));
    int64_t* const reads = reinterpret_cast<int64_t*>(sums + (slices * all + 7) / 8 * 8);
    list_reads(reads);
    const T* const g = static_cast<const T*>(conv.y);
    parallel(slices * conv.c, [&](int64_t task, int worker) {
      const int64_t channel = task % conv.c, slice = task / conv.c;
      T* const image = static_cast<T*>(pool_scratch(worker, size_t(imageSize() + taps * L) * sizeof(T), LOCAL));
      T* const total = image + imageSize();
      clear(image, imageSize() + taps * L);
      for (int64_t n = slice * some; n < min<int64_t>(conv.n, (slice + 1) * some); ++n) {
        const int64_t item = n * conv.c + channel;
        fill(from + item * sourceSize, image);
        add_image(image, g + item * resultSize, reads, total);
      }
      for (int64_t t = 0; t < taps; ++t) sums[slice * all + channel * taps + t] = sum(load(total + t * L));
    });
    T* const dw = static_cast<T*>(conv.w);
    for (int64_t i = 0; i < all; ++i) {
      T value = sums[i];
      for (int64_t s = 1; s < slices; ++s) value += sums[s * all + i];
      dw[i] = value;
    }
  }
};

}  // namespace chainrule::VARIANT
