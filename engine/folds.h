// What a reduction does to a stretch of values (…Fold: one output) and to rows of values (…Columns: many outputs side by side).
// Float sums run in vector lanes over at most 4096 elements, or 64 rows, and those partial sums in double: the error of a
// mean of a million numbers is that of a mean of a few dozen.
#pragma once
#include "convert.h"

namespace chainrule::VARIANT {

constexpr int UNIT = 256;            // outputs side by side
constexpr int COLUMN_ROWS = 64;      // rows folded at a time
constexpr int64_t STRETCH = 4096;

template <class T> struct WideOf { typedef double type; };
template <> struct WideOf<int32_t> { typedef uint32_t type; };   // wraps
template <class T> using Wide = typename WideOf<T>::type;

template <class T> constexpr T lowest() {
  if constexpr (DTypeOf<T>::value == INT32) return T(-2147483647 - 1);
  else return T(-__builtin_inf());
}
template <class T> constexpr T highest() {
  if constexpr (DTypeOf<T>::value == INT32) return T(2147483647);
  else return T(__builtin_inf());
}

// Folds n values in four independent vectors, starting from (and padding the last vector with) `identity`.
template <class T, class F> INLINE Vec<T> fold_lanes(const T* p, int64_t n, T identity, F f) {
  typedef Vec<T> V;
  const V start = broadcast(identity);
  V a = start, b = start, c = start, d = start;
  int64_t i = 0;
  for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>) {
    a = f(a, load(p + i)), b = f(b, load(p + i + lanes<T>));
    c = f(c, load(p + i + 2 * lanes<T>)), d = f(d, load(p + i + 3 * lanes<T>));
  }
  for (; i + lanes<T> <= n; i += lanes<T>) a = f(a, load(p + i));
  if (i < n) {
    T rest[lanes<T>];
    store(rest, start);
    for (int k = 0; i < n; ++i, ++k) rest[k] = p[i];
    b = f(b, load(rest));
  }
  return f(f(a, b), f(c, d));
}
// ---- sum and product ----------------------------------------------------------------------------------------------------------

template <class T> struct SumFold {
  typedef T Result;
  Wide<T> total;
  INLINE void start() { total = 0; }
  INLINE void stretch(const T* p, int64_t n, int64_t) {
    for (; n > 0; p += STRETCH, n -= STRETCH) {
      total += Wide<T>(sum(fold_lanes(p, n < STRETCH ? n : STRETCH, T(0), [](Vec<T> x, Vec<T> y) { return op_add(x, y); })));
    }
  }
  INLINE void merge(const SumFold& later) { total += later.total; }
  INLINE T result() const { return T(total); }
};

template <class T> struct ProdFold {
  typedef T Result;
  Wide<T> total;
  INLINE void start() { total = 1; }
  INLINE void stretch(const T* p, int64_t n, int64_t) {
    Wide<T> part[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
      for (int k = 0; k < 8; ++k) part[k] *= Wide<T>(p[i + k]);
    for (; i < n; ++i) part[0] *= Wide<T>(p[i]);
    for (int k = 0; k < 8; ++k) total *= part[k];
  }
  INLINE void merge(const ProdFold& later) { total *= later.total; }
  INLINE T result() const { return T(total); }
};

template <class T> struct SumColumns {
  typedef T Result;
  Wide<T> total[UNIT];
  void start(int width) { fill(total, Wide<T>(0), width); }
  void rows(const T* p, int64_t pitch, int count, int width, int64_t) {
    T part[UNIT];
    fill(part, T(0), width);
    int r = 0;
    for (; r + 4 <= count; r += 4) {
      const T *a = p + r * pitch, *b = a + pitch, *c = b + pitch, *d = c + pitch;
      int i = 0;
      for (; i + lanes<T> <= width; i += lanes<T>)
        store(part + i, op_add(load(part + i), op_add(op_add(load(a + i), load(b + i)), op_add(load(c + i), load(d + i)))));
      for (; i < width; ++i) part[i] = T(Wrap<T>(part[i]) + ((Wrap<T>(a[i]) + Wrap<T>(b[i])) + (Wrap<T>(c[i]) + Wrap<T>(d[i]))));
    }
    for (; r < count; ++r) {
      const T* a = p + r * pitch;
      for (int i = 0; i < width; ++i) part[i] = T(Wrap<T>(part[i]) + Wrap<T>(a[i]));
    }
    for (int i = 0; i < width; ++i) total[i] += Wide<T>(part[i]);
  }
  void merge(const SumColumns& later, int width) {
    for (int i = 0; i < width; ++i) total[i] += later.total[i];
  }
  void results(T* out, int width) const {
    for (int i = 0; i < width; ++i) out[i] = T(total[i]);
  }
};

template <class T> struct ProdColumns {
  typedef T Result;
  Wide<T> total[UNIT];
  void start(int width) { fill(total, Wide<T>(1), width); }
  void rows(const T* p, int64_t pitch, int count, int width, int64_t) {
    for (int r = 0; r < count; ++r)
      for (int i = 0; i < width; ++i) total[i] *= Wide<T>(p[r * pitch + i]);
  }
  void merge(const ProdColumns& later, int width) {
    for (int i = 0; i < width; ++i) total[i] *= later.total[i];
  }
  void results(T* out, int width) const {
    for (int i = 0; i < width; ++i) out[i] = T(total[i]);
  }
};

// ---- max and min, which carry NaN ------------------------------------------------------------------------------------------------

template <class T> struct Larger {
  static INLINE Vec<T> of(Vec<T> a, Vec<T> b) { return op_max(a, b); }
  static INLINE T start() { return lowest<T>(); }
  // Whether x takes the place of `best` where only the first of equals counts. NaN beats every number.
  static INLINE bool beats(T x, T best) { return x > best || (x != x && best == best); }
};
template <class T> struct Smaller {
  static INLINE Vec<T> of(Vec<T> a, Vec<T> b) { return op_min(a, b); }
  static INLINE T start() { return highest<T>(); }
  static INLINE bool beats(T x, T best) { return x < best || (x != x && best == best); }
};

template <class T, class Order> INLINE T extreme(const T* p, int64_t n) {
  const Vec<T> v = fold_lanes(p, n, Order::start(), [](Vec<T> a, Vec<T> b) { return Order::of(a, b); });
  return fold<T>(v, [](T a, T b) { return Order::beats(b, a) ? b : a; });
}

template <class T, class Order> struct ExtremeFold {
  typedef T Result;
  T best;
  INLINE void start() { best = Order::start(); }
  INLINE void stretch(const T* p, int64_t n, int64_t) { take(extreme<T, Order>(p, n)); }
  INLINE void merge(const ExtremeFold& later) { take(later.best); }
  INLINE T result() const { return best; }
 private:
  INLINE void take(T x) {
    if (Order::beats(x, best)) best = x;
  }
};

template <class T, class Order> struct ExtremeColumns {
  typedef T Result;
  T best[UNIT];
  void start(int width) { fill(best, Order::start(), width); }
  void rows(const T* p, int64_t pitch, int count, int width, int64_t) {
    for (int r = 0; r < count; ++r, p += pitch) {
      int i = 0;
      for (; i + lanes<T> <= width; i += lanes<T>) store(best + i, Order::of(load(best + i), load(p + i)));
      for (; i < width; ++i) best[i] = Order::beats(p[i], best[i]) ? p[i] : best[i];
    }
  }
  void merge(const ExtremeColumns& later, int width) { rows(later.best, 0, 1, width, 0); }
  void results(T* out, int width) const { __builtin_memcpy(out, best, width * sizeof(T)); }
};

// ---- argmax and argmin -------------------------------------------------------------------------------------------------------------

template <class T, class Order> struct ArgFold {
  typedef int32_t Result;
  T best;
  int32_t index;
  INLINE void start() { best = Order::start(), index = -1; }

  INLINE void stretch(const T* p, int64_t n, int64_t base) {
    constexpr int64_t SPAN = 512;
    for (int64_t at = 0; at < n; at += SPAN) {
      const int64_t count = n - at < SPAN ? n - at : SPAN;
      const T found = extreme<T, Order>(p + at, count);
      if (index >= 0 && !Order::beats(found, best)) continue;
      int64_t i = at;
      while (!(found == found ? p[i] == found : p[i] != p[i])) ++i;
      best = found, index = int32_t(base + i);
    }
  }
  INLINE void merge(const ArgFold& later) {
    if (index < 0 || (later.index >= 0 && Order::beats(later.best, best))) *this = later;
  }
  INLINE int32_t result() const { return index < 0 ? 0 : index; }
};

template <class T, class Order> struct ArgColumns {
  typedef int32_t Result;
  T best[UNIT];
  int32_t index[UNIT];
  bool empty;
  void start(int width) {
    fill(index, 0, width);
    empty = true;
  }
  void rows(const T* p, int64_t pitch, int count, int width, int64_t base) {
    for (int r = 0; r < count; ++r, p += pitch) {
      const int32_t here = int32_t(base + r);
      for (int i = 0; i < width; ++i) {
        const bool better = empty || Order::beats(p[i], best[i]);
        best[i] = better ? p[i] : best[i];
        index[i] = better ? here : index[i];
      }
      empty = false;
    }
  }
  void merge(const ArgColumns& later, int width) {
    for (int i = 0; i < width; ++i) {
      if (!Order::beats(later.best[i], best[i])) continue;
      best[i] = later.best[i], index[i] = later.index[i];
    }
  }
  void results(int32_t* out, int width) const { __builtin_memcpy(out, index, width * sizeof(int32_t)); }
};

template <class T> using MaxFold = ExtremeFold<T, Larger<T>>;
template <class T> using MinFold = ExtremeFold<T, Smaller<T>>;
template <class T> using MaxColumns = ExtremeColumns<T, Larger<T>>;
template <class T> using MinColumns = ExtremeColumns<T, Smaller<T>>;
template <class T> using ArgMaxFold = ArgFold<T, Larger<T>>;
template <class T> using ArgMinFold = ArgFold<T, Smaller<T>>;
template <class T> using ArgMaxColumns = ArgColumns<T, Larger<T>>;
template <class T> using ArgMinColumns = ArgColumns<T, Smaller<T>>;

}  // namespace chainrule::VARIANT
