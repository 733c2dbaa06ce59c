// Products of bfloat16 on the tile registers of recent x86 servers (AMX): sums in float32, eight times the rate of float32
// multiply-adds and more. A's numbers are packed by rows of 32, B's by pairs, two tiles of each to a kernel of 32 x 32 results.
// The instructions are written as text, so that no compiler flag is needed; subnormal inputs and results count as zero.
#pragma once
#include "gemm.h"

#if CHAINRULE_AVX512 && defined(__linux__) && defined(__x86_64__)
#define CHAINRULE_AMX 1
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace chainrule::VARIANT::amx {

constexpr int SIDE = 16, DEPTH = 32;               // a tile: 16 x 16 sums, or 16 rows of 32 numbers
constexpr int PANEL = 2 * SIDE;                    // rows or columns of a kernel
constexpr int TILE = SIDE * DEPTH;
constexpr int BLOCK = 128;                         // rows and columns of a task
constexpr int SLICE = 512;                         // of k: panels of A and B share L1
constexpr int ROOM = 1 << 21;                      // numbers of an operand packed at a time: they stay in L3

// Whether the machine has the tiles and Linux lets this process use them: it asks once.
inline bool usable() {
  static const bool answer = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned BF16 = 1u << 22, TILES = 1u << 24;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (BF16 | TILES)) != (BF16 | TILES)) return false;
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
  }();
  return answer;
}

INLINE vu load_numbers(const uint16_t* p, int count) {
  return (vu)_mm512_maskz_loadu_epi16(__mmask32(count >= 32 ? ~0u : (1u << count) - 1), p);
}
INLINE vu load_wide(const uint16_t* p, int count) {
  return (vu)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(__mmask16((1u << count) - 1), p));
}

// One tile of the element i * across + p * along, for i < count of 16 and p < k of 32, zeros elsewhere. A's tile has a row for
// each i; B's has one for each pair of p.
NOINLINE void pack_tile(const uint16_t* from, int64_t across, int64_t along, int count, int k, bool byPairs, uint16_t* to) {
  vu rows[SIDE];
  const bool paired = across == 1 && along != 1;
  if (paired) {
#pragma GCC unroll 16
    for (int p = 0; p < SIDE; ++p) {
      const uint16_t* row = from + 2 * p * along;
      rows[p] = (2 * p < k ? load_wide(row, count) : vu{}) | (2 * p + 1 < k ? load_wide(row + along, count) : vu{}) << 16;
    }
  } else if (along == 1) {
#pragma GCC unroll 16
    for (int i = 0; i < SIDE; ++i) rows[i] = i < count ? load_numbers(from + i * across, k) : vu{};
  } else {
    uint16_t lines[SIDE][DEPTH] = {};
    for (int i = 0; i < count; ++i)
      for (int p = 0; p < k; ++p) lines[i][p] = from[i * across + p * along];
    for (int i = 0; i < SIDE; ++i) rows[i] = load_numbers(lines[i], DEPTH);
  }
  if (paired != byPairs) transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < SIDE; ++i) _mm512_storeu_si512(to + i * DEPTH, (__m512i)rows[i]);
}

inline void clear_tile(uint16_t* tile) {
  for (int i = 0; i < SIDE; ++i) _mm512_storeu_si512(tile + i * DEPTH, __m512i{});
}

// Panels of `whole` numbers along k: step by step of 32, two tiles each. Where memory runs across them they are packed together,
// so that it is read in long runs.
constexpr int TOGETHER = 8;
inline void pack_panels(const bf16* matrix, int64_t across, int64_t along, int count, int k, int64_t whole, bool byPairs, uint16_t* to) {
  const uint16_t* const from = reinterpret_cast<const uint16_t*>(matrix);
  const int width = along == 1 ? PANEL : count;
  for (int left = 0; left < count; left += width)
    for (int p = 0; p < whole; p += DEPTH)
      for (int i = left; i < min(count, left + width); i += SIDE) {
        uint16_t* tile = to + i / PANEL * PANEL * whole + p * PANEL + i % PANEL * DEPTH;
        pack_tile(from + i * across + p * along, across, along, min(SIDE, count - i), min(DEPTH, k - p), byPairs, tile);
        if (i + SIDE >= count && i % PANEL == 0) clear_tile(tile + TILE);
      }
}

struct alignas(64) Configuration {
  uint8_t palette = 1, start = 0, unused[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

#define CHAINRULE_TILE(load_or_store, number, address, distance) \
  asm volatile(load_or_store(number) ::"r"(address), "r"(int64_t(distance)) : "memory")
#define CHAINRULE_TILE_LOAD(number) "tileloadd (%0,%1,1), %%tmm" #number
#define CHAINRULE_TILE_STORE(number) "tilestored %%tmm" #number ", (%0,%1,1)"

// sums[r * BLOCK + c] of 32 x 32, over so many steps of both panels; with `add`, += .
inline void kernel(const uint16_t* a, const uint16_t* b, int steps, float* sums, bool add) {
  constexpr int64_t ROW = BLOCK * sizeof(float);
  float* const lower = sums + SIDE * BLOCK;
  if (add) {
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 0, sums, ROW);
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 1, sums + SIDE, ROW);
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 2, lower, ROW);
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 3, lower + SIDE, ROW);
  } else {
    asm volatile("tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3" ::: "memory");
  }
  for (; steps > 0; --steps, a += 2 * TILE, b += 2 * TILE) {
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 4, a, 64);
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 6, b, 64);
    asm volatile("tdpbf16ps %%tmm6, %%tmm4, %%tmm0" ::: "memory");
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 7, b + TILE, 64);
    asm volatile("tdpbf16ps %%tmm7, %%tmm4, %%tmm1" ::: "memory");
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 5, a + TILE, 64);
    asm volatile("tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\ttdpbf16ps %%tmm7, %%tmm5, %%tmm3" ::: "memory");
  }
  CHAINRULE_TILE(CHAINRULE_TILE_STORE, 0, sums, ROW);
  CHAINRULE_TILE(CHAINRULE_TILE_STORE, 1, sums + SIDE, ROW);
  CHAINRULE_TILE(CHAINRULE_TILE_STORE, 2, lower, ROW);
  CHAINRULE_TILE(CHAINRULE_TILE_STORE, 3, lower + SIDE, ROW);
}

#undef CHAINRULE_TILE
#undef CHAINRULE_TILE_LOAD
#undef CHAINRULE_TILE_STORE

INLINE vf get_part(const float* p, int count) { return load_part(p, count); }
INLINE vf get_part(const bf16* p, int count) { return bf16_to_float(load_wide(&p->bits, count)); }
INLINE void put_part(float* p, vf v, int count) { store_part(p, v, count); }
INLINE void put_part(bf16* p, vf v, int count) {
  _mm256_mask_storeu_epi16(p, __mmask16((1u << count) - 1), _mm512_cvtepi32_epi16((__m512i)float_to_bf16(v)));
}

template <class C> struct Product {
  int m, n, k;
  Strided<bf16> a, b;
  C* c;
  int64_t cRow, cCol;
  const float* perRow;
  const float* perCol;
  bool accumulate;
  const Epilogue* epilogue;
  int64_t batch;

  int depth() const { return max(DEPTH, (k + DEPTH - 1) / DEPTH * DEPTH); }

  // The block of sums at (i, j): bias, what C held, the epilogue, and off to C.
  NOINLINE void finish(float* sums, int i, int j, int rows, int cols) const {
    const bool direct = cCol == 1;
    for (int r = 0; r < rows; ++r) {
      float* row = sums + r * BLOCK;
      C* to = c + (i + r) * cRow + j * cCol;
      for (int x = 0; (perRow || perCol || (accumulate && direct)) && x < cols; x += LANES) {
        const int part = min(LANES, cols - x);
        vf sum = load(row + x);
        if (perRow) sum += broadcast(perRow[i + r]);
        if (perCol) sum += load_part(perCol + j + x, part);
        if (accumulate && direct) sum += get_part(to + x, part);
        store(row + x, sum);
      }
      for (int x = 0; accumulate && !direct && x < cols; ++x) row[x] += to_float(to[x * cCol]);
    }
    if (epilogue) epilogue->apply(epilogue->ctx, batch, i, j, rows, cols, sums, BLOCK);
    for (int r = 0; r < rows; ++r) {
      const float* row = sums + r * BLOCK;
      C* to = c + (i + r) * cRow + j * cCol;
      for (int x = 0; direct && x < cols; x += LANES) put_part(to + x, load(row + x), min(LANES, cols - x));
      for (int x = 0; !direct && x < cols; ++x) put_one(to[x * cCol], row[x]);
    }
  }
  static void put_one(float& to, float x) { to = x; }
  static void put_one(bf16& to, float x) { to = to_bf16(x); }

  NOINLINE void compute(const uint16_t* panelsA, const uint16_t* panelsB, int i, int j, int rows, int cols, int worker) const {
    float* sums = static_cast<float*>(pool_scratch(worker, BLOCK * BLOCK * sizeof(float), LOCAL));
    const int64_t whole = depth();
    const Configuration configuration;
    asm volatile("ldtilecfg %0" ::"m"(configuration));
    for (int p = 0; p < whole; p += SLICE)
      for (int y = 0; y < cols; y += PANEL)
        for (int x = 0; x < rows; x += PANEL)
          kernel(panelsA + x * whole + p * PANEL, panelsB + y * whole + p * PANEL, int(min<int64_t>(SLICE, whole - p)) / DEPTH,
                 sums + x * BLOCK + y, p > 0);
    asm volatile("tilerelease" ::: "memory");
    finish(sums, i, j, rows, cols);
  }

  NOINLINE void run(bool alone, int worker) const {
    const int64_t whole = depth();
    const int step = int(max<int64_t>(BLOCK, min<int64_t>(1024, ROOM / whole / BLOCK * BLOCK)));
    const auto panels = [](int count) { return (count + PANEL - 1) / PANEL; };
    const int64_t mostA = panels(min(m, step)) * PANEL * whole, mostB = panels(min(n, step)) * PANEL * whole;
    uint16_t* packedA = static_cast<uint16_t*>(pool_scratch(worker, size_t(mostA + mostB) * sizeof(uint16_t), SHARED));
    uint16_t* packedB = packedA + mostA;
    alone = alone || pool_threads() == 1 || int64_t(m) * n * k < 64 * 64 * 1024;
    for (int j0 = 0; j0 < n; j0 += step)
      for (int i0 = 0; i0 < m; i0 += step) {
        const int mc = min(step, m - i0), nc = min(step, n - j0);
        const auto shares = [](int count) { return (count + TOGETHER * PANEL - 1) / (TOGETHER * PANEL); };
        const int ofA = j0 == 0 || m > step ? shares(mc) : 0, ofB = i0 == 0 ? shares(nc) : 0;
        spread(alone, worker, ofA + ofB, [&](int64_t task, int) {
          const bool isA = task < ofA;
          const int at = int(isA ? task : task - ofA) * TOGETHER * PANEL, count = min(TOGETHER * PANEL, (isA ? mc : nc) - at);
          if (isA) pack_panels(a.data + (i0 + at) * a.row, a.row, a.col, count, k, whole, false, packedA + at * whole);
          else pack_panels(b.data + (j0 + at) * b.col, b.col, b.row, count, k, whole, true, packedB + at * whole);
        });
        const int down = (mc + BLOCK - 1) / BLOCK, across = (nc + BLOCK - 1) / BLOCK;
        spread(alone, worker, int64_t(down) * across, [&](int64_t task, int who) {
          const int i = int(task % down) * BLOCK, j = int(task / down) * BLOCK;
          compute(packedA + i * whole, packedB + j * whole, i0 + i, j0 + j, min(BLOCK, mc - i), min(BLOCK, nc - j), who);
        });
      }
  }
};

}  // namespace chainrule::VARIANT::amx
#endif
