// C(m x n) = A(m x k) * B(k x n). One micro-kernel keeps a tile of C in registers; everything else arranges what it reads.
//
// The tile is up to MR rows by NV vectors. Where matrices are small, A is broadcast and B loaded from where they lie;
// otherwise both are packed into panels that the cache serves in order. Rows are cut into panels of nearly equal height,
// so there is no edge in m, and the last columns use a narrower kernel.
#pragma once
#include "gemm_api.h"
#include "gemm_kernels.h"
#ifndef __wasm__
#include "gemm_packed.h"
#endif
#include "pool.h"
#include "views.h"

namespace chainrule::VARIANT {

// Adds a finished tile to where it belongs: C = (add ? C : 0) + tile + bias.
template <class T>
NOINLINE void place(const T* tile, int64_t tileLd, T* c, int64_t ld, int rows, int cols, bool add, const T* perRow, const T* perCol) {
  typedef Vec<T> V;
  constexpr int L = lanes<T>;
  for (int r = 0; r < rows; ++r, tile += tileLd, c += ld) {
    const V bias = broadcast(perRow ? perRow[r] : T(0));
    for (int j = 0; j < cols; j += L) {
      const int part = min(L, cols - j);
      V x = load(tile + j);
      if (perRow) x += bias;
      if (perCol) x += load_part(perCol + j, part);
      if (add) x += load_part(c + j, part);
      store_part<T>(c + j, x, part);
    }
  }
}

// Rows cut into panels of at most MR, or `most`, all within one row of the same height. Each of `threads` has as many panels as the
// others, and within one as many rows: 256 rows are twenty panels, of 13 and 12 rows, and 128 rows for either of two threads.
struct RowPanels {
  int count, each, height, taller, extra;          // a thread's first panels have one row more: `taller`, and one more of the first `extra` threads
  explicit RowPanels(int m, int most = MR, int threads = 1) {
    const int part = m / threads;
    extra = m % threads, each = (part + (extra > 0) + most - 1) / most, count = each * threads;
    height = part / max(each, 1), taller = part - height * each;
  }
  int thread(int panel) const { return each == count ? 0 : panel / each; }
  int start(int panel) const {
    const int t = thread(panel), p = panel - t * each;
    return t * (height * each + taller) + min(t, extra) + p * height + min(p, taller + (t < extra));
  }
  int rows(int panel) const {
    const int t = thread(panel);
    return height + (panel - t * each < taller + (t < extra));
  }
  // The first panel after this one that is lower, or `end`.
  int run(int panel, int end) const {
    const int t = thread(panel), low = t * each + taller + (t < extra);
    return min(end, panel < low ? low : (t + 1) * each);
  }
};

template <class T> struct MatMul {
  int m, n, k;
  T* c;
  int64_t ld;
  const T* perRow = nullptr;
  const T* perCol = nullptr;
  bool accumulate = false;
  const Epilogue* epilogue = nullptr;
  int64_t batch = 0;
};

template <class T> struct Strided {
  const T* data;
  int64_t row, col;
};

template <class T> constexpr int panelWidth = NV * lanes<T>;
#if CHAINRULE_AVX512
constexpr int KC = 256;                            // rows of a B panel: it fits L1 beside one of A, and C is not revisited too often
constexpr int DIRECT = 22;                         // panels of rows that read B where it lies
constexpr int TOGETHER = 15;                       // from so many on, and matrices of 128 kB, it pays to pack both
#else
constexpr int KC = 384;
constexpr int DIRECT = 30;
constexpr int TOGETHER = 1 << 20;
#endif
constexpr int MC = 240, NC = 4096;                 // packed A block in L2 with room to spare, packed B in L3
constexpr int FEW = 288, NEAR_NC = 512;            // beside so few rows, which L2 holds, a turned B and C in L2 save more than packing A again costs
constexpr int TASKS = 8, ROW_TASKS = 4;            // for every thread: enough to even out, few enough to pack little twice
constexpr int ROW_PANELS = 10;                     // of a task at least, where there are that many: each reads all of B
#ifdef __wasm__
constexpr int NEAR = 0;
#else
constexpr int NEAR = 800 * 1024;                   // packed B beside which the next rows of A stay in L2 too
#endif
constexpr int PAGE_BYTES = 4096;
constexpr int PACK = 8;                            // panels of B packed together: memory is read in runs that it is good at

// Rounds up to whole cache lines of T.
template <class T> INLINE int64_t lines(int64_t count) { return (count + 64 / sizeof(T) - 1) / (64 / sizeof(T)) * (64 / sizeof(T)); }

// Runs tasks on the pool, or here when the caller is itself a task.
template <class Body> INLINE void spread(bool alone, int worker, int64_t tasks, const Body& body) {
  if (alone) for (int64_t task = 0; task < tasks; ++task) body(task, worker);
  else parallel(tasks, body);
}

// Of A, what is packed after this: its rows, or its columns where those lie side by side. Fetched one by one.
template <class T> struct NextRows {
  const T* data = nullptr;
  int64_t step = 0;
  int lines = 0, length = 0;
};

// One pass over a slice of k: which operands are packed, and where.
template <class T> struct Pass {
  const MatMul<T>& job;
  Strided<T> a, b;
  bool packA, packB;
  T* packedA;
  T* packedB;
  int top, j0, nc, k0, kc;                         // top: the first row in packedA
  int mine;                                        // columns from here on are another worker's
  bool last;
  NextRows<T>& ahead;
  bool* there;                                     // which panels of B are packed: the others are when they are first needed

  // Some panels of columns of B from j on. The last of a B that is not packed otherwise lies alone.
  void pack_columns(int j) const {
    constexpr int L = lanes<T>, W = panelWidth<T>;
    const T* from = b.data + k0 * b.row + j0 * b.col;
    T* const to = packedB - (packB ? 0 : int64_t(j) * kc);
    const int end = min(j < mine ? mine : nc, j + PACK * W), whole = b.col == 1 ? (end - j) / W : 0;
    pack_runs(from + j, b.row, whole, kc, to + int64_t(j) * kc, W);
    for (int i = j; i < end; i += W) {
      there[i / W] = true;
      const int cols = min(W, end - i);
      if (i >= j + whole * W) pack_panel(from + i * b.col, b.col, b.row, cols, kc, to + int64_t(i) * kc, (cols + L - 1) / L * L);
    }
  }

  // Rows [first, end) of row panels of A.
  void pack_rows(const RowPanels& panels, int first, int end) const {
    for (; PACKED_ROWS <= lanes<T> && a.row == 1 && a.col >= lanes<T> && first < end; first += min(PACK, end - first)) {
      const int i = panels.start(first), count = min(PACK, end - first);
      int rows[PACK];
      for (int q = 0; q < count; ++q) rows[q] = panels.rows(first + q);
      pack_beside(a.data + i + k0 * a.col, a.col, rows, count, kc, packedA + int64_t(i - top) * kc);
    }
    for (int panel = first; panel < end; ++panel) {
      const int i = panels.start(panel), rows = panels.rows(panel);
      pack_panel(a.data + i * a.row + k0 * a.col, a.row, a.col, rows, kc, packedA + int64_t(i - top) * kc, rows);
    }
  }

  // Rows [first, end) of row panels against columns [left, right) of the block.
  NOINLINE void compute(const RowPanels& panels, int first, int end, int left, int right) const {
    for (int j = left; j < right; j += panelWidth<T>) {
      const int cols = min(panelWidth<T>, right - j);
#ifndef __wasm__
      if (packA && packB) {
        packed_strip(panels, first, end, j, cols);
        continue;
      }
#endif
      if (!there[j / panelWidth<T>]) pack_columns(j);
      strip(panels, first, end, j, cols);
    }
    if constexpr (sizeof(T) == 4)
      if (last && job.epilogue) {
        const int i = panels.start(first), rows = panels.start(end) - i;
        float* block = reinterpret_cast<float*>(job.c + i * job.ld + j0 + left);
        job.epilogue->apply(job.epilogue->ctx, job.batch, i, j0 + left, rows, right - left, block, int(job.ld));
      }
  }

  T* tile_of_c(int i, int j) const { return job.c + i * job.ld + j0 + j; }
  const T* row_bias(int i) const { return last && job.perRow ? job.perRow + i : nullptr; }
  const T* col_bias(int j) const { return last && job.perCol ? job.perCol + j0 + j : nullptr; }
  bool adds() const { return k0 > 0 || job.accumulate; }
  // Whether a kernel writes straight to C; otherwise its tile is placed.
  bool plain(int cols) const { return cols % lanes<T> == 0 && !(last && job.perRow); }

  // The columns from j on, at most a panel of them, whatever way A and B are read.
  void strip(const RowPanels& panels, int first, int end, int j, int cols) const {
    constexpr int L = lanes<T>, W = panelWidth<T>;
    const int vectors = (cols + L - 1) / L;
    const bool direct = !packB && cols == vectors * L, straight = plain(cols);
    alignas(64) T tile[KERNEL_ROWS * W];
    Feed<T> feed;
    feed.k = kc;
    feed.add = straight && adds(), feed.bias = straight ? col_bias(j) : nullptr;
    feed.b[0] = direct ? b.data + k0 * b.row + j0 + j : packedB + (packB ? int64_t(j) * kc : 0);
    feed.bNext = direct ? b.row : vectors * L;
    for (int panel = first; panel < end; panel += feed.tiles) {
      const int i = panels.start(panel), rows = panels.rows(panel);
      feed.tiles = MANY_TILES && straight ? panels.run(panel, end) - panel : 1;
      feed.aTile = rows * (packA ? kc : a.row);
      feed.aRow = packA ? 1 : a.row;
      feed.aNext = packA ? rows : a.col;
      const T* from = packA ? packedA + int64_t(i - top) * kc : a.data + i * a.row + k0 * a.col;
      for (int g = 0; g * GROUP < rows; ++g) feed.a[g] = from + g * GROUP * feed.aRow;
      T* c = tile_of_c(i, j);
      if (PREFETCHES && kc >= 32)                  // C comes from far away: fetch it while the tile is computed
        for (int r = 0; r < rows; ++r)
          for (int v = 0; v < vectors; ++v) __builtin_prefetch(c + r * job.ld + v * L, 1);
      kernel_for<T, STRIDED>(rows, vectors)(feed, straight ? c : tile, straight ? job.ld : W);
      if (!straight) place(tile, W, c, job.ld, rows, cols, adds(), row_bias(i), col_bias(j));
    }
  }

#ifndef __wasm__
  // The same where both are packed. Every tile fetches the next one of C, its share of the next panel of B and a row of A that is packed
  // later. The first tile that needs a panel of B packs it, unless it has to be turned.
  void packed_strip(const RowPanels& panels, int first, int end, int j, int cols) const {
    constexpr int L = lanes<T>, W = panelWidth<T>, LINE = 64 / int(sizeof(T));
    const int vectors = (cols + L - 1) / L, sum = panels.start(end) - panels.start(first);
    const bool straight = plain(cols), more = j + W < nc;
    // Not where every row is on a page of its own: those are read in long runs.
    const bool raw = b.col == 1 && b.row * int64_t(sizeof(T)) < PAGE_BYTES;
    bool& packed = there[j / W];
    if (!packed && !(raw && cols == W)) pack_columns(j);
    alignas(64) T tile[PACKED_ROWS * W];
    PackedFeed<T> feed;
    feed.b = packedB + int64_t(j) * kc, feed.k = kc, feed.add = straight && adds(), feed.bias = straight ? col_bias(j) : nullptr;
    feed.raw = b.data + k0 * b.row + j0 + j, feed.rawStep = b.row;
    const bool lies = raw && more && !there[j / W + 1];
    feed.nextB = lies ? feed.raw + W : feed.b + W * kc, feed.nextStep = lies ? b.row : W;
    feed.nextRows = more ? (kc + sum - 1) / sum : 0;
    for (int panel = first; panel < end; ++panel) {
      const int i = panels.start(panel), rows = panels.rows(panel), next = panel + 1 < end ? panel + 1 : first;
      feed.a = packedA + int64_t(i - top) * kc;
      feed.nextC = tile_of_c(panels.start(next), next == first && more ? j + W : j);
      feed.nextA = ahead.data, feed.nextLines = ahead.lines > 0 ? (ahead.length / LINE + rows) / rows : 0;
      --ahead.lines, ahead.data += ahead.step;
      T* c = tile_of_c(i, j);
      packed_kernel_for<T, PACKED_ROWS, NV>(rows, vectors, !packed)(feed, straight ? c : tile, straight ? job.ld : W);
      packed = true;
      if (!straight) place(tile, W, c, job.ld, rows, cols, adds(), row_bias(i), col_bias(j));
      feed.nextB += int64_t(feed.nextRows) * rows * feed.nextStep;
    }
  }
#endif
};

// A product that is not worth the pool costs less than about 10 us alone.
INLINE bool small_work(int64_t m, int64_t n, int64_t k) { return m * n * k < 64 * 64 * 128; }

// How C is cut into tasks: `down` parts of rows by `across` parts of columns.
struct Cuts {
  int panels, columns, down, across;
  int panel(int part) const { return int(int64_t(panels) * part / down); }
  int column(int part) const { return int(int64_t(columns) * part / across); }
  // The end of the columns' parts in a worker's run of tasks, as parallel() deals them out: those of one part are neighbours.
  int mine(int64_t task, int threads) const {
    const int64_t tasks = int64_t(down) * across, runs = min<int64_t>(threads, tasks), run = ((task + 1) * runs - 1) / tasks;
    return int((tasks * (run + 1) / runs + down - 1) / down);
  }
};

// The rows of A behind [first, end), or the first ones of the next slice.
template <class T>
NextRows<T> what_follows(const MatMul<T>& job, Strided<T> a, const RowPanels& panels, int first, int end, int k0, int kc) {
  const bool over = end == panels.count;
  const int i = over ? 0 : panels.start(end), rows = min(panels.start(end) - panels.start(first), job.m - i);
  if (over) k0 += kc;
  if (k0 == job.k) return {};
  const T* const from = a.data + i * a.row + k0 * a.col;
  kc = min(kc, job.k - k0);
  return a.col == 1 ? NextRows<T>{from, a.row, rows, kc} : NextRows<T>{from, a.col, kc, rows};
}

// What a worker has packed for itself: nothing that a core writes has to travel to another one.
struct alignas(64) Own {
  bool begun;
  int part;                                        // of A
};

// How a product is made: what is packed, how it is cut into slices of k and blocks of columns, and what threads share out.
template <class T> struct Plan {
  static constexpr int W = panelWidth<T>, L = lanes<T>;
  bool packA, packB, narrow, whole, serial, edge, byRows;
  int slices, depth, wideC, threads, blocks, down;
  RowPanels panels;
  int64_t sizeA, sizeB;                            // of the packed operands

  Plan(const MatMul<T>& job, const Strided<T>& a, const Strided<T>& b, bool alone) : panels(job.m) {
    choose_packing(job, a, b);
    slices = max(1, (job.k + KC - 1) / KC), depth = (job.k + slices - 1) / slices;
    alone = alone || small_work(job.m, job.n, job.k) || pool_threads() == 1;
    narrow = NEAR > 0 && b.col != 1 && slices > 1 && job.m <= FEW;
    wideC = narrow ? NEAR_NC : NC;
    // Blocks of columns are tasks, each with all slices, where threads would meet often.
    whole = narrow && !alone && slices > 3 && job.n >= wideC * pool_threads();
    serial = alone || whole;
    threads = serial ? 1 : pool_threads();
    share_rows(job);
  }

  // How one block of nc columns is cut in a slice. With an epilogue, results of a task have to be in cache when it is done.
  Cuts cuts(int nc, bool epilogue) const {
    const int columns = (nc + W - 1) / W, wide = byRows || serial ? columns / 16 : max(columns / 4, threads);
    const int parts = epilogue ? wide : serial ? 1 : !byRows ? TASKS * threads : packA || packB ? 1 : 2;
    return {panels.count, columns, down, max(1, min(parts, columns))};
  }

 private:
  void choose_packing(const MatMul<T>& job, const Strided<T>& a, const Strided<T>& b) {
    const auto distant = [](int64_t row) { return row * int64_t(sizeof(T)) % 4096 == 0; };  // rows share a few lines of the cache
    const int m = job.m, n = job.n;
    const int64_t bytesA = int64_t(m) * job.k * int64_t(sizeof(T)), bytesB = int64_t(n) * job.k * int64_t(sizeof(T));
    const int direct = (distant(b.row) || bytesB > 2048 * 1024 ? 4 : DIRECT) * MR;  // with fewer rows, packing costs more than it saves
    const bool both = n > 4 * W && m > TOGETHER * MR && min(bytesA, bytesB) > 128 * 1024;
    packA = both || (n >= 4 * W + (m < 256) && bytesA > (a.col != 1 ? 16 : distant(a.row) ? 48 : 256) * 1024);
    packB = both || b.col != 1 || (m > direct && bytesB > 32 * 1024);
  }

  void share_rows(const MatMul<T>& job) {
    const int m = job.m, n = job.n, most = min(n, wideC);
    const int height = packA && packB && slices == 1 ? PACKED_ROWS : MR;
    panels = RowPanels(m, height);
    // Few rows are packed once a slice: in parts, tasks that differ in their columns would pack them in turn.
    blocks = m <= FEW ? 1 : (panels.count + MC / MR - 1) / (MC / MR);
    byRows = m >= n || (blocks > 1 && 4 * int64_t(m) >= n);  // which operand every worker packs for itself, the other is shared out
    if (byRows && panels.count > threads) panels = RowPanels(m, height, threads);
    // As many tasks for every thread: with nine for two, one would wait for a tenth of the time.
    const int even = min((blocks + threads - 1) / threads * threads, panels.count);
    down = serial || !byRows ? blocks : max(even, min(panels.count / ROW_PANELS, ROW_TASKS * threads) / threads * threads);
    edge = !packB && n % W % L != 0;               // the last columns are packed alone: a load must not pass the end
    const int tallest = (panels.count + down - 1) / down * (panels.height + 1);
    sizeA = packA ? lines<T>(int64_t(min(m, tallest)) * depth) + 64 : 0;
    sizeB = packB ? int64_t((most + W - 1) / W) * W * depth : edge ? W * depth : 0;
  }
};

template <class T> struct Multiplication {
  const MatMul<T>& job;
  const Strided<T> a, b;
  const Plan<T> plan;
  Own own[MAX_THREADS];                            // left as it is until a worker begins

  Multiplication(const MatMul<T>& job, Strided<T> a, Strided<T> b, bool alone) : job(job), a(a), b(b), plan(job, a, b, alone) {}

  // A block of columns through all slices of k.
  void columns_from(int j0, int self) {
    const int nc = min(plan.wideC, job.n - j0);
    const Cuts cuts = plan.cuts(nc, job.epilogue != nullptr);
    for (int slice = 0; slice < plan.slices; ++slice) {
      for (int i = 0; i < plan.threads; ++i) own[plan.serial ? self : i] = {false, -1};
      spread(plan.serial, self, int64_t(cuts.down) * cuts.across,
             [&](int64_t task, int who) { part(cuts, task, who, j0, nc, slice * plan.depth); });
    }
  }

  // A task: some rows of C by some of a block's columns, for one slice.
  void part(const Cuts& cuts, int64_t task, int who, int j0, int nc, int k0) {
    constexpr int W = panelWidth<T>;
    const bool byRows = plan.byRows;
    const RowPanels& panels = plan.panels;
    const int rows = int(byRows ? task / cuts.across : task % cuts.down), column = int(byRows ? task % cuts.across : task / cuts.down);
    const int first = cuts.panel(rows), end = cuts.panel(rows + 1), kc = min(plan.depth, job.k - k0);
    T* const packed = static_cast<T*>(pool_scratch(who, size_t(plan.sizeA + plan.sizeB) * sizeof(T) + size_t(cuts.columns), SHARED));
    const int stop = byRows ? nc : min(nc, cuts.column(cuts.mine(task, plan.threads)) * W);
    NextRows<T> ahead;
    if constexpr (NEAR > 0)
      if (plan.packA && plan.packB && int64_t(nc) * kc * sizeof(T) <= NEAR) ahead = what_follows(job, a, panels, first, end, k0, kc);
    const Pass<T> pass{job, a, b, plan.packA, plan.packB, packed, packed + plan.sizeA, panels.start(first), j0, nc, k0, kc, stop,
                       k0 + kc == job.k, ahead, reinterpret_cast<bool*>(packed + plan.sizeA + plan.sizeB)};
    Own& mine = own[who];
    if (!mine.begun)
      for (int i = 0; i < cuts.columns; ++i) pass.there[i] = !(plan.packB || (plan.edge && i == cuts.columns - 1 && j0 + nc == job.n));
    mine.begun = true;
    if (plan.packA && mine.part != rows) pass.pack_rows(panels, first, end);
    mine.part = rows;
    pass.compute(panels, first, end, cuts.column(column) * W, min(nc, cuts.column(column + 1) * W));
  }
};

template <class T> NOINLINE void multiply(const MatMul<T>& job, Strided<T> a, Strided<T> b, bool alone, int worker) {
  Multiplication<T> work(job, a, b, alone);
  const int wide = work.plan.wideC, blocks = (job.n + wide - 1) / wide;
  if (work.plan.whole) parallel(blocks, [&](int64_t block, int who) { work.columns_from(int(block) * wide, who); });
  else for (int block = 0; block < blocks; ++block) work.columns_from(block * wide, worker);
}

}  // namespace chainrule::VARIANT
