// Products of bfloat16 by pairs of numbers: an instruction adds two products to each float32 sum. A's numbers are packed by rows of 32,
// B's by pairs, two tiles of each to a kernel of 32 x 32 results: vectors and the tile registers of gemm_amx.h read the same panels.
// The instruction is written as text, so that no compiler flag is needed; subnormal inputs and results count as zero.
#pragma once
#include "gemm.h"

#if CHAINRULE_AVX512
#include <cpuid.h>

namespace chainrule::VARIANT::pairs {

constexpr int SIDE = 16, DEPTH = 32;               // a tile: 16 x 16 sums, or 16 rows of 32 numbers
constexpr int PANEL = 2 * SIDE;                    // rows or columns of a kernel
constexpr int TILE = SIDE * DEPTH;
constexpr int BLOCK = 128;                         // rows and columns of a task
constexpr int SLICE = 512;                         // of k: panels of A and B share L1
constexpr int AHEAD = 6;                           // tiles whose rows are fetched while others are packed
constexpr int ROOM = 1 << 21;                      // numbers of A packed at a time: they stay in L3
constexpr int NEAR_ROOM = 1 << 20;                 // of B, which every row of blocks reads again

// Whether the machine multiplies vectors of pairs (AVX-512 BF16).
inline bool has_dots() {
  static const bool answer = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5) != 0;
  }();
  return answer;
}

INLINE vu load_numbers(const uint16_t* p, int count) {
  return (vu)_mm512_maskz_loadu_epi16(__mmask32(count >= 32 ? ~0u : (1u << count) - 1), p);
}
INLINE vu load_wide(const uint16_t* p, int count) {
  return (vu)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(__mmask16((1u << count) - 1), p));
}

// Floats are rounded as they are read.
INLINE vu load_numbers(const float* p, int count) {
  const vf low = load_part(p, min(count, LANES)), high = count > LANES ? load_part(p + LANES, min(count - LANES, LANES)) : vf{};
  vu out;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(out) : "v"(low), "v"(high));
  return out;
}
INLINE vu load_wide(const float* p, int count) { return float_to_bf16(load_part(p, count)); }
INLINE uint16_t bits_of(uint16_t x) { return x; }
INLINE uint16_t bits_of(float x) { return to_bf16(x).bits; }

// One tile of the element i * across + p * along, for i < count of 16 and p < k of 32, zeros elsewhere. A's tile has a row for
// each i; B's has one for each pair of p.
template <class S>
NOINLINE void pack_tile(const S* from, int64_t across, int64_t along, int count, int k, bool byPairs, uint16_t* to) {
  vu rows[SIDE];
  const bool paired = across == 1 && along != 1;
  if (paired) {
#pragma GCC unroll 16
    for (int p = 0; p < SIDE; ++p) {
      const S* row = from + 2 * p * along;
      __builtin_prefetch(row + DEPTH * along), __builtin_prefetch(row + (DEPTH + 1) * along);
      rows[p] = (2 * p < k ? load_wide(row, count) : vu{}) | (2 * p + 1 < k ? load_wide(row + along, count) : vu{}) << 16;
    }
  } else if (along == 1) {
#pragma GCC unroll 16
    for (int i = 0; i < SIDE; ++i) {
      __builtin_prefetch(from + i * across + AHEAD * DEPTH);
      rows[i] = i < count ? load_numbers(from + i * across, k) : vu{};
    }
  } else {
    uint16_t lines[SIDE][DEPTH] = {};
    for (int i = 0; i < count; ++i)
      for (int p = 0; p < k; ++p) lines[i][p] = bits_of(from[i * across + p * along]);
    for (int i = 0; i < SIDE; ++i) rows[i] = load_numbers(lines[i], DEPTH);
  }
  if (paired != byPairs) transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < SIDE; ++i) _mm512_storeu_si512(to + i * DEPTH, (__m512i)rows[i]);
}

// Two tiles of B side by side, of 32 columns that lie so: a number of one row beside that below it.
template <class S> INLINE void pack_pairs(const S* from, int64_t along, int k, uint16_t* to) {
  uint16_t order[DEPTH];
  for (int i = 0; i < DEPTH; ++i) order[i] = uint16_t(i / 2 + i % 2 * DEPTH);
  const __m512i left = _mm512_loadu_si512(order), right = _mm512_add_epi16(left, _mm512_set1_epi16(SIDE));
  for (int p = 0; p < SIDE; ++p, to += DEPTH) {
    const S* row = from + 2 * p * along;
    __builtin_prefetch(row + DEPTH * along), __builtin_prefetch(row + (DEPTH + 1) * along);
    const __m512i upper = 2 * p < k ? (__m512i)load_numbers(row, DEPTH) : __m512i{};
    const __m512i lower = 2 * p + 1 < k ? (__m512i)load_numbers(row + along, DEPTH) : __m512i{};
    _mm512_storeu_si512(to, _mm512_permutex2var_epi16(upper, left, lower));
    _mm512_storeu_si512(to + TILE, _mm512_permutex2var_epi16(upper, right, lower));
  }
}

inline void clear_tile(uint16_t* tile) {
  for (int i = 0; i < SIDE; ++i) _mm512_storeu_si512(tile + i * DEPTH, __m512i{});
}

// Panels of `whole` numbers along k: step by step of 32, two tiles each. Where memory runs across them they are packed together,
// so that it is read in long runs.
constexpr int TOGETHER = 8;
INLINE const uint16_t* as_read(const bf16* p) { return reinterpret_cast<const uint16_t*>(p); }
INLINE const float* as_read(const float* p) { return p; }
template <class N>
void pack_panels(const N* matrix, int64_t across, int64_t along, int count, int k, int64_t whole, bool byPairs, uint16_t* to) {
  const auto* const from = as_read(matrix);
  const int width = along == 1 ? PANEL : count;
  for (int left = 0; left < count; left += width)
    for (int p = 0; p < whole; p += DEPTH)
      for (int i = left; i < min(count, left + width); i += SIDE) {
        uint16_t* tile = to + i / PANEL * PANEL * whole + p * PANEL + i % PANEL * DEPTH;
        if (byPairs && across == 1 && along != 1 && i % PANEL == 0 && i + PANEL <= count) {
          pack_pairs(from + i + p * along, along, min(DEPTH, k - p), tile);
          i += SIDE;
          continue;
        }
        pack_tile(from + i * across + p * along, across, along, min(SIDE, count - i), min(DEPTH, k - p), byPairs, tile);
        if (i + SIDE >= count && i % PANEL == 0) clear_tile(tile + TILE);
      }
}

// What is packed next: so many stretches of lines, fetched while others are multiplied. A few at a time: memory is far behind the kernels.
struct Ahead {
  const char* data = nullptr;
  int64_t step = 0;
  int stretches = 0, lines = 0, share = 0, at = 0;
  INLINE void fetch() {
    for (int i = stretches > 0 ? share : 0; i > 0; --i) {
      __builtin_prefetch(data + at * 64, 0, 2);
      if (++at == lines) at = 0, data += step, --stretches;
    }
  }
};
constexpr int FETCHES = 3;                         // of a kernel at every step

// sums[r * BLOCK + c] of ROWS x 32, over so many steps of both panels; with `add`, += .
template <int ROWS> NOINLINE void dot_rows(const uint16_t* a, const uint16_t* b, int steps, float* sums, bool add, Ahead& ahead) {
  vf acc[ROWS][2] = {};
  if (add)
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) acc[r][0] = load(sums + r * BLOCK), acc[r][1] = load(sums + r * BLOCK + LANES);
  for (; steps > 0; --steps, a += 2 * TILE, b += 2 * TILE) {
    ahead.fetch();
    for (int p = 0; p < DEPTH; p += 2) {
      const float* const column = reinterpret_cast<const float*>(b + p * SIDE);
      const vf left = load(column), right = load(column + TILE / 2);
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; ++r) {
        const vf pair = broadcast(*reinterpret_cast<const float*>(a + r * DEPTH + p));
        asm("vdpbf16ps %2, %1, %0" : "+v"(acc[r][0]) : "v"(pair), "v"(left));
        asm("vdpbf16ps %2, %1, %0" : "+v"(acc[r][1]) : "v"(pair), "v"(right));
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r) store(sums + r * BLOCK, acc[r][0]), store(sums + r * BLOCK + LANES, acc[r][1]);
}

// The same for all 32 rows.
inline void dot_kernel(const uint16_t* a, const uint16_t* b, int steps, float* sums, bool add, Ahead& ahead) {
  constexpr int ROWS = 11, LAST = PANEL - 2 * ROWS;
  dot_rows<ROWS>(a, b, steps, sums, add, ahead);
  dot_rows<ROWS>(a + ROWS * DEPTH, b, steps, sums + ROWS * BLOCK, add, ahead);
  dot_rows<LAST>(a + 2 * ROWS * DEPTH, b, steps, sums + 2 * ROWS * BLOCK, add, ahead);
}

}  // namespace chainrule::VARIANT::pairs
#endif
