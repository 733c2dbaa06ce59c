// Stable sorting of lines. An element becomes a number whose unsigned order is the order wanted (NaN last, -0 equal to 0,
// reversed if descending) with its position below it, so entries are never equal and any way of sorting them is stable.
#include "convert.h"
#include "kernels.h"
#include "pool.h"

namespace chainrule::VARIANT {
namespace {

constexpr int64_t GRAIN = 1 << 13;     // elements of a task, at least
constexpr int INSERTION = 40;          // up to here insertion sort is faster

// What is sorted: the key in the upper bits, the position in the lower 32.
struct Entry32 {
  uint64_t bits;
  INLINE uint32_t position() const { return uint32_t(bits); }
  INLINE uint8_t digit(int d) const { return uint8_t(bits >> (32 + 8 * d)); }
  INLINE bool operator<(const Entry32& other) const { return bits < other.bits; }
  static constexpr int DIGITS = 4;
  static INLINE Entry32 make(uint32_t key, uint32_t position) { return {uint64_t(key) << 32 | position}; }
};
struct Entry64 {
  uint64_t key;
  uint64_t at;
  INLINE uint32_t position() const { return uint32_t(at); }
  INLINE uint8_t digit(int d) const { return uint8_t(key >> (8 * d)); }
  INLINE bool operator<(const Entry64& other) const { return key < other.key || (key == other.key && at < other.at); }
  static constexpr int DIGITS = 8;
  static INLINE Entry64 make(uint64_t key, uint32_t position) { return {key, position}; }
};

struct Sort {
  int32_t descending, kept, length, rank;
  const int32_t* dims;
  View x, values, indices;
};

Sort read_sort(const Step& step) {
  Reader in(step);
  Sort s = {};
  s.descending = in.next(), s.kept = in.next(), s.length = in.next(), s.rank = in.next();
  s.dims = in.ints(s.rank);
  s.x = in.view(s.rank + 1), s.values = in.view(s.rank + 1), s.indices = in.view(s.rank + 1);
  return s;
}

// Keys: the sign bit of a positive number set, all bits of a negative one turned.
INLINE uint32_t key_of(float x) {
  if (x != x) return ~0u;
  const float canonical = x + 0.0f;                      // -0 becomes 0
  uint32_t bits;
  __builtin_memcpy(&bits, &canonical, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
INLINE uint64_t key_of(double x) {
  if (x != x) return ~0ull;
  const double canonical = x + 0.0;
  uint64_t bits;
  __builtin_memcpy(&bits, &canonical, sizeof bits);
  return bits >> 63 ? ~bits : bits | 0x8000000000000000ull;
}
INLINE uint32_t key_of(int32_t x) { return uint32_t(x) ^ 0x80000000u; }
INLINE uint32_t key_of(bf16 x) { return key_of(widen_to<float>(x)); }
INLINE uint32_t key_of(f16 x) { return key_of(to_float(x)); }
INLINE uint32_t key_of(uint8_t x) { return x; }
INLINE uint32_t key_of(boolean x) { return x.value != 0; }

template <class S> struct EntryOf { typedef Entry32 type; };
template <> struct EntryOf<double> { typedef Entry64 type; };

template <class E> void insertion_sort(E* entries, int n) {
  for (int i = 1; i < n; ++i) {
    const E entry = entries[i];
    int j = i;
    for (; j > 0 && entry < entries[j - 1]; --j) entries[j] = entries[j - 1];
    entries[j] = entry;
  }
}

// Least significant digit first, over the key's bytes; a byte that all keys share costs only its counting. Returns where
// the result is: either array.
template <class E> E* radix_sort(E* from, E* to, int n) {
  uint32_t counts[E::DIGITS][256] = {};
  for (int i = 0; i < n; ++i)
    for (int d = 0; d < E::DIGITS; ++d) ++counts[d][from[i].digit(d)];
  for (int d = 0; d < E::DIGITS; ++d) {
    uint32_t* const places = counts[d];
    if (places[from[0].digit(d)] == uint32_t(n)) continue;
    uint32_t sum = 0;
    for (int digit = 0; digit < 256; ++digit) {
      const uint32_t count = places[digit];
      places[digit] = sum;
      sum += count;
    }
    for (int i = 0; i < n; ++i) to[places[from[i].digit(d)]++] = from[i];
    E* const swap = from;
    from = to, to = swap;
  }
  return from;
}

// Lets the entry at the root of a heap (largest first) sink to its place.
template <class E> void sink(E* heap, int n) {
  const E entry = heap[0];
  int at = 0;
  for (int child = 1; child < n; child = 2 * at + 1) {
    if (child + 1 < n && heap[child] < heap[child + 1]) ++child;
    if (!(entry < heap[child])) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = entry;
}

// Brings the k smallest to the front: a heap holds them while the rest goes by, and few of the rest get in.
template <class E> void select_first(E* entries, int n, int k) {
  for (int i = k - 1; i > 0; --i) {                      // a descending run is a heap already
    for (int j = k - 1 - i; j >= 0 && entries[j] < entries[j + 1]; --j) {
      const E swap = entries[j];
      entries[j] = entries[j + 1], entries[j + 1] = swap;
    }
  }
  for (int i = k; i < n; ++i) {
    if (!(entries[i] < entries[0])) continue;
    entries[0] = entries[i];
    sink(entries, k);
  }
}

#ifndef __wasm__                       // 1.6 kB there
// A key that at least k of the keys do not exceed, and few more: groups of keys (a lane of every so many vectors each) have their least,
// and the k-th of these will do. Keys are in signed order.
constexpr int GROUPS = 256;
NOINLINE int32_t bound_of(const int32_t* keys, int n, int k, int vectors) {
  alignas(64) int32_t least[GROUPS];
  for (int v = 0; v < vectors; ++v) {
    vi low = load(keys + v * LANES);
    for (int i = (v + vectors) * LANES; i + LANES <= n; i += vectors * LANES) {
      const vi more = load(keys + i);
      low = select(more < low, more, low);
    }
    store(least + v * LANES, low);
  }
  vi bound = broadcast(INT32_MAX);
  for (int v = 0; v < vectors; ++v) {
    const vi low = load(least + v * LANES);
    vi rank = {};
    for (int i = 0; i < vectors * LANES; ++i) rank -= broadcast(least[i]) <= low;
    bound = select((rank >= k) & (low < bound), low, bound);
  }
  int32_t smallest = bound[0];
  for (int lane = 1; lane < LANES; ++lane) smallest = min(smallest, int32_t(bound[lane]));
  return smallest;
}

// Entries of the keys that `bound` is not below, in order. Returns how many.
INLINE int32_t flipped(uint32_t key) { return int32_t(key ^ 0x80000000u); }
NOINLINE int take_keys(const int32_t* keys, int n, int32_t bound, Entry32* entries) {
  int taken = 0;
  for (int i = 0; i < n; i += LANES) {
    if (i + LANES <= n && !any(vi(load(keys + i) <= bound))) continue;
    for (int j = i; j < min(n, i + LANES); ++j) {
      entries[taken] = Entry32::make(uint32_t(keys[j]) ^ 0x80000000u, uint32_t(j));
      taken += keys[j] <= bound;
    }
  }
  return taken;
}

// Entries among which the k first are; 0 where it does not pay.
int first_entries(const float* x, int64_t stride, int n, uint32_t flip, int k, Entry32* entries) {
  const int vectors = (k + k / 2 + LANES - 1) / LANES;
  if (vectors * LANES > GROUPS || n < 4 * vectors * LANES) return 0;
  int32_t* const keys = reinterpret_cast<int32_t*>(entries + n);
  int i = 0;
  for (; stride == 1 && i + LANES <= n; i += LANES) {    // key_of() of a vector
    const vf v = load(x + i) + 0.0f;
    const vi bits = (vi)v;
    store(keys + i, select(vi(v != v), broadcast(INT32_MAX), bits ^ (bits >> 31 & INT32_MAX)) ^ int32_t(flip));
  }
  for (; i < n; ++i) keys[i] = flipped(key_of(x[i * stride]) ^ flip);
  return take_keys(keys, n, bound_of(keys, n, k, vectors), entries);
}
#endif

template <class S> bool sort_line(const Sort& s, const int64_t* at, int worker) {
  typedef typename EntryOf<S>::type E;
  typedef decltype(key_of(S())) Key;
  E* entries = static_cast<E*>(pool_scratch(worker, 2 * size_t(s.length) * sizeof(E)));
  if (entries == nullptr) return false;
  const S* x = reinterpret_cast<const S*>(s.x.data) + at[0];
  const int64_t stride = s.x.strides[s.rank];
  const Key flip = s.descending ? Key(~Key(0)) : Key(0);
  int n = 0;
#ifndef __wasm__
  if constexpr (__is_same(S, float))
    if (s.kept < s.length / 8) n = first_entries(x, stride, s.length, flip, s.kept, entries);
#endif
  if (n == 0)
    for (; n < s.length; ++n) entries[n] = E::make(key_of(x[n * stride]) ^ flip, uint32_t(n));
  const bool select = s.kept <= 128 && s.kept < n / 8;   // leaves no order of positions, which sorting by digits needs
  if (select) select_first(entries, n, s.kept), n = s.kept;
  if (select || n <= INSERTION) insertion_sort(entries, n);
  else entries = radix_sort(entries, entries + s.length, n);
  S* values = reinterpret_cast<S*>(s.values.data) + at[1];
  int32_t* indices = reinterpret_cast<int32_t*>(s.indices.data) + at[2];
  for (int i = 0; i < s.kept; ++i) {
    const int32_t index = int32_t(entries[i].position());
    values[i * s.values.strides[s.rank]] = x[index * stride];
    indices[i * s.indices.strides[s.rank]] = index;
  }
  return true;
}

template <class S> bool sort_all(const Sort& s) {
  const int64_t lines = product(s.dims, s.rank);
  const int64_t grain = s.length >= GRAIN ? 1 : GRAIN / s.length + 1;
  int32_t failed = 0;
  parallel((lines + grain - 1) / grain, [&](int64_t task, int worker) {
    Walk<3> walk = {s.rank, s.dims, {s.x.strides, s.values.strides, s.indices.strides}, {}, {}};
    walk.seek(task * grain);
    const int64_t end = (task + 1) * grain < lines ? (task + 1) * grain : lines;
    for (int64_t line = task * grain; line < end; ++line, walk.advance())
      if (!sort_line<S>(s, walk.offset, worker)) __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
  });
  return failed == 0;
}

}  // namespace

int32_t sort(const Step& step) {
  const Sort s = read_sort(step);
  const bool done = with_type(s.x.dtype, [&](auto* type) {
    typedef __typeof__(*type) Element;
    return sort_all<Element>(s);
  });
  return done ? int32_t(ENGINE_OK) : step.fail(ENGINE_MEMORY);
}

}  // namespace chainrule::VARIANT
