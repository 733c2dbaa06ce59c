// How operands are read: packing of strided matrices into panels, transposes in registers, and images padded so that
// the patches of a convolution are plain pointer offsets.
#pragma once
#include "simd.h"

namespace chainrule::VARIANT {

template <class T> INLINE Vec<T> load_part(const T* p, int count) { return count >= lanes<T> ? load(p) : load_first(p, count); }

template <class T> INLINE void store_part(T* p, Vec<T> v, int count) {
  if (count >= lanes<T>) store(p, v);
  else store_first(p, v, count);
}

// The lanes of a row's vector at j that lie before `count`.
INLINE vi lanes_below(int j, int count) {
  return lane_numbers() < broadcast(count - j);
}

template <class T> INLINE void copy(const T* from, T* to, int64_t count) {
  for (int64_t i = 0; i < count; i += lanes<T>) {
    const int part = int(min<int64_t>(lanes<T>, count - i));
    store_part<T>(to + i, load_part(from + i, part), part);
  }
}

template <class T> NOINLINE void clear(T* to, int64_t count) {
  for (int64_t i = 0; i < count; i += lanes<T>) store_part<T>(to + i, Vec<T>{}, int(min<int64_t>(lanes<T>, count - i)));
}

// ---- transposing a square of vectors in registers ------------------------------------------------------------------

// The lanes of a and b in turn: a0 b0 a1 b1 ..., the first half and the second half of that row.
template <class V> INLINE V zip_low(V a, V b) {
  constexpr int count = VECTOR_BYTES / int(sizeof(a[0]));
  if constexpr (count == 2) return __builtin_shufflevector(a, b, 0, 2);
  else if constexpr (count == 4) return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  else if constexpr (count == 8) return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  else return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
template <class V> INLINE V zip_high(V a, V b) {
  constexpr int count = VECTOR_BYTES / int(sizeof(a[0]));
  if constexpr (count == 2) return __builtin_shufflevector(a, b, 1, 3);
  else if constexpr (count == 4) return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  else if constexpr (count == 8) return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  else return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// Zipping row i with row i + half, log2(lanes) times, is a transpose (a perfect shuffle of the index bits).
template <class V, int COUNT> INLINE void transpose(V (&v)[COUNT]) {
#pragma GCC unroll 4
  for (int step = 1; step < COUNT; step *= 2) {
    V next[COUNT];
#pragma GCC unroll 8
    for (int i = 0; i < COUNT / 2; ++i) {
      next[2 * i] = zip_low(v[i], v[i + COUNT / 2]);
      next[2 * i + 1] = zip_high(v[i], v[i + COUNT / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < COUNT; ++i) v[i] = next[i];
  }
}

// ---- packing --------------------------------------------------------------------------------------------------------

// to[p * pitch + i] = from[i * across + p * along] for i < count and zero for count <= i < room, p < k; `room` is at most
// one vector. With `overlap` the lanes beyond may be written too, as long as they lie before `end`.
template <class T>
NOINLINE void pack_vector(const T* from, int64_t across, int64_t along, int count, int room, int k, T* to, int pitch, bool overlap,
                 const T* end) {
  constexpr int L = lanes<T>;
  const int wide = overlap ? L : room;
  int p = 0;
  if (along == 1 && across != 1) {
    for (; p + L <= k; p += L) {
      Vec<T> v[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) v[i] = i < count ? load(from + i * across + p) : Vec<T>{};
      transpose(v);
      T* row = to + int64_t(p) * pitch;
      if (wide == L && row + (L - 1) * int64_t(pitch) + L <= end) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) store(row + int64_t(i) * pitch, v[i]);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) store_part<T>(row + int64_t(i) * pitch, v[i], room);
      }
    }
  } else if (across == 1 && (count == L || MASKED)) {
    const T* safe = end - L;
    for (; p < k; ++p) {
      T* row = to + int64_t(p) * pitch;
      store_part<T>(row, load_part(from + p * along, count), row <= safe ? wide : room);
    }
  }
  for (; p < k; ++p)
    for (int i = 0; i < room; ++i) to[int64_t(p) * pitch + i] = i < count ? from[i * across + p * along] : T(0);
}

// Whole panels whose rows lie side by side: row by row, so that memory is read in long runs.
template <class T> NOINLINE void pack_runs(const T* from, int64_t along, int panels, int k, T* to, int width) {
  for (int p = 0; panels > 0 && p < k; ++p, from += along, to += width) {
    const T* row = from;
    T* out = to;
    for (int panel = 0; panel < panels; ++panel, row += width, out += int64_t(width) * k)
      for (int i = 0; i < width; i += lanes<T>) store(out + i, load(row + i));
  }
}

// A panel of `width` columns: to[p * width + i], zero where i >= count. A narrow panel's vectors reach into the next k,
// which overwrites; nothing but the panel itself is ever written.
template <class T>
NOINLINE void pack_panel(const T* from, int64_t across, int64_t along, int count, int k, T* to, int width) {
  constexpr int L = lanes<T>;
  for (int i = 0; i < width; i += L) {
    const int part = max(0, min(L, count - i)), room = min(L, width - i);
    pack_vector(from + i * across, across, along, part, room, k, to + i, width, i == 0, to + int64_t(width) * k);
  }
}

// Panels of rows that lie side by side, panel q rows[q] <= lanes high and directly behind panel q - 1, in `from` and in `to`:
// to[p * rows[q] + r] = from[p * along + r]. Every line of memory is read once for all of them. Vectors reach into what comes next.
template <class T> NOINLINE void pack_beside(const T* from, int64_t along, const int* rows, int panels, int k, T* to) {
  for (int p = 0; p < k; ++p, from += along) {
    const T* x = from;
    T* panel = to;
    for (int q = 0; q < panels; ++q) {
      const int count = rows[q];
      if (p + lanes<T> <= k) store(panel + p * count, load(x));
      else store_part<T>(panel + p * count, load_part(x, count), count);
      x += count, panel += int64_t(count) * k;
    }
  }
}

// ---- images ---------------------------------------------------------------------------------------------------------

INLINE int floor_div(int a, int b) { return a / b - (a % b < 0); }
INLINE int modulo(int a, int b) { return a % b + (a % b < 0 ? b : 0); }

// One axis of an image laid out with zeros around it, so that a convolution reads element t + shift for its output t.
// A strided one reads every `step`-th element: then there is one plane for each remainder that some tap reads.
struct PaddedAxis {
  int size = 1;                                    // of the image
  int step = 1;                                    // a plane holds every step-th element
  int phases = 1;                                  // planes
  int pad = 0, dilation = 1;                       // plane i holds the remainder of i * dilation - pad
  int low = 0;                                     // zeros before element 0 of a plane
  int extent = 1;                                  // length of a plane, zeros included

  int remainder(int phase) const { return step == 1 ? 0 : modulo(phase * dilation - pad, step); }
  // How many of a plane's elements the image has and the plane has room for.
  int inside(int phase) const {
    const int first = remainder(phase), count = size > first ? (size - first + step - 1) / step : 0;
    return max(0, min(count, extent - low));
  }
};

// Writes one channel of a (depth, height, width) image into its planes: phases of z, y, x outermost. The zeros around
// it are the caller's, who clears once and fills for many images.
template <class T> NOINLINE void fill_channel(const T* image, const PaddedAxis (&axis)[3], T* to) {
  const PaddedAxis &az = axis[0], &ay = axis[1], &ax = axis[2];
  const int64_t plane = int64_t(az.extent) * ay.extent * ax.extent;
  const bool same = az.extent == az.size && ay.extent == ay.size && ax.extent == ax.size;
  if (same && az.low + ay.low + ax.low == 0 && az.step * ay.step * ax.step == 1)    // zeros before, too, may fill what the taps leave out
    return copy(image, to, plane);
  for (int pz = 0; pz < az.phases; ++pz)
    for (int py = 0; py < ay.phases; ++py)
      for (int px = 0; px < ax.phases; ++px, to += plane) {
        const int depth = az.inside(pz), height = ay.inside(py), width = ax.inside(px);
        for (int z = 0; z < depth; ++z)
          for (int y = 0; y < height; ++y) {
            const int64_t iz = z * az.step + az.remainder(pz), iy = y * ay.step + ay.remainder(py);
            const T* from = image + (iz * ay.size + iy) * ax.size + ax.remainder(px);
            T* row = to + (int64_t(z + az.low) * ay.extent + y + ay.low) * ax.extent + ax.low;
            if (ax.step == 1) copy(from, row, width);
            else for (int x = 0; x < width; ++x) row[x] = from[int64_t(x) * ax.step];
          }
      }
}

}  // namespace chainrule::VARIANT
