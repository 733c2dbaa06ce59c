// What a reduction does to a stretch of values (…Fold: one output) and to rows of values (…Columns: many outputs side by side).
// Float sums run in vector lanes over at most 4096 elements, or 64 rows, and those partial sums in double: the error of a
// mean of a million numbers is that of a mean of a few dozen.
#pragma once
#include "convert.h"

namespace chainrule::VARIANT {

constexpr int UNIT = 1024;           // outputs side by side, at most
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

// The first n lanes of p, the others as in `pad`.
template <class T> INLINE Vec<T> load_padded(const T* p, int n, Vec<T> pad) {
  typedef MaskOf<Vec<T>> Mask;
  typedef decltype(Mask{}[0] + 0) Index;
  static const Index count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Mask lane;
  __builtin_memcpy(&lane, count, sizeof lane);
  return select(lane < Index(n), load_first(p, n), pad);
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
  if (i < n) b = f(b, load_padded(p + i, int(n - i), start));
  return f(f(a, b), f(c, d));
}
// All lanes folded into one: halves onto each other, in registers.
template <int by, class V, int... I> INLINE V rotate(V v, Indices<I...>) {
  return __builtin_shufflevector(v, v, ((I + by) % int(sizeof...(I)))...);
}
template <int half, class V, class F> INLINE Lane<V> across_from(V v, F f) {
  if constexpr (half == 0) return v[0];
  else return across_from<half / 2>(f(v, rotate<half>(v, typename UpTo<int(sizeof(V) / sizeof(Lane<V>))>::type{})), f);
}
template <class V, class F> INLINE Lane<V> across(V v, F f) { return across_from<int(sizeof(V) / sizeof(Lane<V>)) / 2>(v, f); }

// ---- sum and product ----------------------------------------------------------------------------------------------------------

template <class T> struct SumFold {
  typedef T Result;
  Wide<T> total;
  INLINE void start() { total = 0; }
  INLINE void stretch(const T* p, int64_t n, int64_t) {
    for (; n > 0; p += STRETCH, n -= STRETCH) {
      const auto add = [](Vec<T> x, Vec<T> y) { return op_add(x, y); };
      total += Wide<T>(across(fold_lanes(p, n < STRETCH ? n : STRETCH, T(0), add), add));
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
  T part[UNIT];                      // the sum of the last few rows
  int pending;
  void start(int width) {
    fill(total, Wide<T>(0), width);
    fill(part, T(0), width);
    pending = 0;
  }
  void rows(const T* p, int64_t pitch, int count, int width, int64_t) {
    int r = 0;
    for (; r + 4 <= count; r += 4) {
      const T *a = p + r * pitch, *b = a + pitch, *c = b + pitch, *d = c + pitch;
      int i = 0;
      for (; i + lanes<T> <= width; i += lanes<T>)
        store(part + i, op_add(load(part + i), op_add(op_add(load(a + i), load(b + i)), op_add(load(c + i), load(d + i)))));
      if (i == width) continue;
      const int n = width - i;
      const Vec<T> four = op_add(op_add(load_first(a + i, n), load_first(b + i, n)), op_add(load_first(c + i, n), load_first(d + i, n)));
      store_first(part + i, op_add(load_first(part + i, n), four), n);
    }
    for (; r < count; ++r) {
      const T* a = p + r * pitch;
      int i = 0;
      for (; i + lanes<T> <= width; i += lanes<T>) store(part + i, op_add(load(part + i), load(a + i)));
      if (i < width) store_first(part + i, op_add(load_first(part + i, width - i), load_first(a + i, width - i)), width - i);
    }
    pending += count;
    if (pending >= COLUMN_ROWS) flush(width);
  }
  void merge(SumColumns& later, int width) {
    flush(width);
    later.flush(width);
    for (int i = 0; i < width; ++i) total[i] += later.total[i];
  }
  void results(T* out, int width) {
    flush(width);
    for (int i = 0; i < width; ++i) out[i] = T(total[i]);
  }

 private:
  void flush(int width) {
    for (int i = 0; i < width; ++i) total[i] += Wide<T>(part[i]), part[i] = T(0);
    pending = 0;
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
  void merge(ProdColumns& later, int width) {
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
  static INLINE bool beats(T x, T best) { return (x > best) | ((x != x) & (best == best)); }
};
template <class T> struct Smaller {
  static INLINE Vec<T> of(Vec<T> a, Vec<T> b) { return op_min(a, b); }
  static INLINE T start() { return highest<T>(); }
  static INLINE bool beats(T x, T best) { return (x < best) | ((x != x) & (best == best)); }
};

template <class T, class Order> INLINE T extreme(const T* p, int64_t n) {
  const auto better = [](Vec<T> a, Vec<T> b) { return Order::of(a, b); };
  return across(fold_lanes(p, n, Order::start(), better), better);
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
      if (i < width) store_first(best + i, Order::of(load_first(best + i, width - i), load_first(p + i, width - i)), width - i);
    }
  }
  void merge(ExtremeColumns& later, int width) { rows(later.best, 0, 1, width, 0); }
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
    if (empty && count > 0) {
      __builtin_memcpy(best, p, width * sizeof(T));
      fill(index, int32_t(base), width);
      empty = false;
    }
    for (int r = 0; r < count; ++r, p += pitch) {
      const int32_t here = int32_t(base + r);
      for (int i = 0; i < width; ++i) {
        const bool better = Order::beats(p[i], best[i]);
        best[i] = better ? p[i] : best[i];
        index[i] = better ? here : index[i];
      }
    }
  }
  void merge(ArgColumns& later, int width) {
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

// ---- tables: the walks of reduce.cpp know a fold by these calls only, over its state in memory that they provide ---------------------

constexpr int FOLD_BYTES = 16;       // of a ...Fold, at most

struct FoldCalls {
  int bytes;
  void (*start)(void* folds, int count);
  // Rows of n values, pitch apart: one for each of `count` folds. `base` is the position of the first.
  void (*stretch)(void* folds, int count, const void* values, int64_t pitch, int64_t n, int64_t base);
  void (*merge)(void* fold, const void* later);
  void (*results)(const void* folds, int count, void* out);
};

struct ColumnCalls {
  int bytes;
  void (*start)(void* fold, int width);
  void (*rows)(void* fold, const void* values, int64_t pitch, int count, int width, int64_t base);
  void (*merge)(void* fold, void* later, int width);
  void (*results)(void* fold, void* out, int width);
};

template <class Fold, class T> struct FoldOf {
  static_assert(sizeof(Fold) <= FOLD_BYTES);
  static void start(void* folds, int count) {
    for (int i = 0; i < count; ++i) static_cast<Fold*>(folds)[i].start();
  }
  static void stretch(void* folds, int count, const void* values, int64_t pitch, int64_t n, int64_t base) {
    const T* p = static_cast<const T*>(values);
    for (int i = 0; i < count; ++i, p += pitch) static_cast<Fold*>(folds)[i].stretch(p, n, base);
  }
  static void merge(void* fold, const void* later) { static_cast<Fold*>(fold)->merge(*static_cast<const Fold*>(later)); }
  static void results(const void* folds, int count, void* out) {
    for (int i = 0; i < count; ++i) static_cast<typename Fold::Result*>(out)[i] = static_cast<const Fold*>(folds)[i].result();
  }
  static constexpr FoldCalls calls = {sizeof(Fold), start, stretch, merge, results};
};

template <class Columns, class T> struct ColumnsOf {
  static void start(void* fold, int width) { static_cast<Columns*>(fold)->start(width); }
  static void rows(void* fold, const void* values, int64_t pitch, int count, int width, int64_t base) {
    static_cast<Columns*>(fold)->rows(static_cast<const T*>(values), pitch, count, width, base);
  }
  static void merge(void* fold, void* later, int width) { static_cast<Columns*>(fold)->merge(*static_cast<Columns*>(later), width); }
  static void results(void* fold, void* out, int width) {
    static_cast<Columns*>(fold)->results(static_cast<typename Columns::Result*>(out), width);
  }
  static constexpr ColumnCalls calls = {sizeof(Columns), start, rows, merge, results};
};

// By the order of the tape: sum, prod, max, min, argmax, argmin.
template <class T> constexpr FoldCalls fold_calls[] = {
    FoldOf<SumFold<T>, T>::calls, FoldOf<ProdFold<T>, T>::calls,   FoldOf<MaxFold<T>, T>::calls,
    FoldOf<MinFold<T>, T>::calls, FoldOf<ArgMaxFold<T>, T>::calls, FoldOf<ArgMinFold<T>, T>::calls,
};
template <class T> constexpr ColumnCalls column_calls[] = {
    ColumnsOf<SumColumns<T>, T>::calls, ColumnsOf<ProdColumns<T>, T>::calls,   ColumnsOf<MaxColumns<T>, T>::calls,
    ColumnsOf<MinColumns<T>, T>::calls, ColumnsOf<ArgMaxColumns<T>, T>::calls, ColumnsOf<ArgMinColumns<T>, T>::calls,
};
constexpr int COLUMNS_BYTES = sizeof(SumColumns<double>);  // of the largest
static_assert(sizeof(ArgColumns<double, Larger<double>>) <= COLUMNS_BYTES && sizeof(SumColumns<float>) <= COLUMNS_BYTES);

}  // namespace chainrule::VARIANT
