// Products of bfloat16 with float32 sums, where the processor multiplies by pairs.
#pragma once
#include "gemm_amx.h"

#if CHAINRULE_AVX512

namespace chainrule::VARIANT::pairs {

#if !CHAINRULE_AMX
inline bool has_tiles() { return false; }
#endif
inline bool usable() { return has_tiles() || has_dots(); }

// Runs `each(kernel)` with the fastest kernel of this machine.
template <class Each> INLINE void with_kernel(const Each& each) {
#if CHAINRULE_AMX
  if (has_tiles()) {
    const Configuration configuration;
    asm volatile("ldtilecfg %0" ::"m"(configuration));
    each(tile_kernel);
    asm volatile("tilerelease" ::: "memory");
    return;
  }
#endif
  each(dot_kernel);
}

INLINE vf get_part(const float* p, int count) { return load_part(p, count); }
INLINE vf get_part(const bf16* p, int count) { return bf16_to_float(load_wide(&p->bits, count)); }
// `past`: the caches, for a matrix that they do not hold.
INLINE void put_part(float* p, vf v, int count, bool past) {
  if (past && count >= LANES) _mm512_stream_ps(p, (__m512)v);
  else store_part(p, v, count);
}
INLINE void put_part(bf16* p, vf v, int count, bool) {
  _mm256_mask_storeu_epi16(p, __mmask16((1u << count) - 1), _mm512_cvtepi32_epi16((__m512i)float_to_bf16(v)));
}

constexpr int64_t FAR = 1 << 21;                   // results beyond a core's caches
constexpr int FEW_ROWS = 512;                      // their sums beside a block of columns stay in L2

// N: what B is stored as.
template <class C, class N = bf16> struct Product {
  int m, n, k;
  Strided<bf16> a;
  Strided<N> b;
  C* c;
  int64_t cRow, cCol;
  const float* perRow;
  const float* perCol;
  bool accumulate, rounded;
  const Epilogue* epilogue;
  int64_t batch;

  int depth() const { return max(DEPTH, (k + DEPTH - 1) / DEPTH * DEPTH); }

  // The block of sums at (i, j): bias, what C held, the epilogue, and off to C.
  NOINLINE void finish(float* sums, int i, int j, int rows, int cols) const {
    const bool direct = cCol == 1, lined = (reinterpret_cast<uintptr_t>(c) | uintptr_t(cRow) * sizeof(C)) % 64 == 0;
    const bool past = lined && int64_t(m) * n > FAR;
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
      for (int x = 0; direct && x < cols; x += LANES) {
        const vf sum = load(row + x);
        put_part(to + x, rounded ? as_stored(sum) : sum, min(LANES, cols - x), past);
      }
      for (int x = 0; !direct && x < cols; ++x) put_one(to[x * cCol], rounded ? to_float(to_bf16(row[x])) : row[x]);
    }
    if (past) _mm_sfence();
  }
  static INLINE vf as_stored(vf x) { return bf16_to_float(float_to_bf16(x)); }
  static void put_one(float& to, float x) { to = x; }
  static void put_one(bf16& to, float x) { to = to_bf16(x); }

  NOINLINE void compute(const uint16_t* panelsA, const uint16_t* panelsB, int i, int j, int rows, int cols, int worker) const {
    float* sums = static_cast<float*>(pool_scratch(worker, BLOCK * BLOCK * sizeof(float), LOCAL));
    const int64_t whole = depth();
    Ahead nothing;
    with_kernel([&](auto kernel) {
      for (int p = 0; p < whole; p += SLICE)
        for (int y = 0; y < cols; y += PANEL)
          for (int x = 0; x < rows; x += PANEL)
            kernel(panelsA + x * whole + p * PANEL, panelsB + y * whole + p * PANEL, int(min<int64_t>(SLICE, whole - p)) / DEPTH,
                   sums + x * BLOCK + y, p > 0, nothing);
    });
    finish(sums, i, j, rows, cols);
  }

  // Of B, the slice that is packed next, for kernels of so many steps in all.
  Ahead ahead_of(int j, int p, int steps) const {
    constexpr int LINE = 64 / int(sizeof(N));
    if (p >= k) p = 0, j += BLOCK;
    if (j >= n || (b.row != 1 && b.col != 1)) return {};
    const bool turned = b.row == 1;
    const int cols = min(BLOCK, n - j), deep = min(SLICE, k - p), stretches = turned ? cols : deep;
    const int lines = ((turned ? deep : cols) + LINE - 1) / LINE, share = (stretches * lines + steps * FETCHES - 1) / (steps * FETCHES);
    const N* const from = b.data + j * b.col + p * b.row;
    return {reinterpret_cast<const char*>(from), (turned ? b.col : b.row) * int64_t(sizeof(N)), stretches, lines, share};
  }

  // All rows against a block of columns, slice by slice: what is packed of B is read from L2, and never leaves it.
  NOINLINE void block_of_columns(const uint16_t* packedA, int j, int worker) const {
    const int64_t whole = depth();
    const int cols = min(BLOCK, n - j), rows = (m + PANEL - 1) / PANEL * PANEL, calls = rows / PANEL * ((cols + PANEL - 1) / PANEL);
    float* const sums = static_cast<float*>(pool_scratch(worker, (rows * sizeof(float) + SLICE * sizeof(uint16_t)) * BLOCK, LOCAL));
    uint16_t* const packedB = reinterpret_cast<uint16_t*>(sums + rows * BLOCK);
    for (int p = 0; p < whole; p += SLICE) {
      const int deep = int(min<int64_t>(SLICE, whole - p));
      pack_panels(b.data + j * b.col + p * b.row, b.col, b.row, cols, min(SLICE, k - p), deep, true, packedB);
      Ahead ahead = ahead_of(j, p + SLICE, calls * (deep / DEPTH));
      with_kernel([&](auto kernel) {
        for (int y = 0; y < cols; y += PANEL)
          for (int x = 0; x < rows; x += PANEL)
            kernel(packedA + x * whole + p * PANEL, packedB + y * deep, deep / DEPTH, sums + x * BLOCK + y, p > 0, ahead);
      });
    }
    for (int i = 0; i < m; i += BLOCK) finish(sums + i * BLOCK, i, j, min(BLOCK, m - i), cols);
  }

  void pack_a(bool alone, int worker, uint16_t* to) const {
    constexpr int SHARE = TOGETHER * PANEL;
    spread(alone, worker, (m + SHARE - 1) / SHARE, [&](int64_t task, int) {
      const int at = int(task) * SHARE;
      pack_panels(a.data + at * a.row, a.row, a.col, min(SHARE, m - at), k, depth(), false, to + at * depth());
    });
  }

  void run(bool alone, int worker) const {
    alone = alone || pool_threads() == 1 || int64_t(m) * n * k < 64 * 64 * 1024;
    if (m > FEW_ROWS || n < 2 * BLOCK) return narrow_blocks(alone, worker);
    uint16_t* const packed = static_cast<uint16_t*>(pool_scratch(worker, size_t(m + PANEL) * depth() * sizeof(uint16_t), SHARED));
    pack_a(alone, worker, packed);
    spread(alone, worker, (n + BLOCK - 1) / BLOCK, [&](int64_t task, int who) { block_of_columns(packed, int(task) * BLOCK, who); });
  }

  // B is packed for many rows, of numbers that are narrow already.
  void narrow_blocks(bool alone, int worker) const {
    if constexpr (sizeof(N) == sizeof(bf16)) return run_blocks(alone, worker);
    else {
      const bool turned = b.row == 1;
      const int stretches = turned ? n : k, length = turned ? k : n;
      bf16* const narrow = static_cast<bf16*>(pool_scratch(worker, size_t(k) * n * sizeof(bf16), EXTRA));
      spread(alone, worker, stretches, [&](int64_t i, int) {
        const float* const from = b.data + i * (turned ? b.col : b.row);
        for (int x = 0; x < length; x += LANES) {
          const int part = min(LANES, length - x);
          const vf v = turned || b.col == 1 ? load_part(from + x, part) : gather(from + x * b.col, b.col, part);
          put_part(narrow + i * length + x, v, part, false);
        }
      });
      const Strided<bf16> dense{narrow, turned ? 1 : n, turned ? k : 1};
      Product<C>{m, n, k, a, dense, c, cRow, cCol, perRow, perCol, accumulate, rounded, epilogue, batch}.run_blocks(alone, worker);
    }
  }
  static INLINE vf gather(const float* from, int64_t step, int count) {
    alignas(64) float out[LANES] = {};
    for (int i = 0; i < count; ++i) out[i] = from[i * step];
    return load(out);
  }

  NOINLINE void run_blocks(bool alone, int worker) const {
    const int64_t whole = depth();
    const int step = int(max<int64_t>(BLOCK, min<int64_t>(1024, ROOM / whole / BLOCK * BLOCK)));
    const int wide = int(max<int64_t>(BLOCK, min<int64_t>(1024, NEAR_ROOM / whole / BLOCK * BLOCK)));
    const auto panels = [](int count) { return (count + PANEL - 1) / PANEL; };
    const int64_t mostA = panels(min(m, step)) * PANEL * whole, mostB = panels(min(n, wide)) * PANEL * whole;
    uint16_t* packedA = static_cast<uint16_t*>(pool_scratch(worker, size_t(mostA + mostB) * sizeof(uint16_t), SHARED));
    uint16_t* packedB = packedA + mostA;
    for (int j0 = 0; j0 < n; j0 += wide)
      for (int i0 = 0; i0 < m; i0 += step) {
        const int mc = min(step, m - i0), nc = min(wide, n - j0);
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

}  // namespace chainrule::VARIANT::pairs
#endif
