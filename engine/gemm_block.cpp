// A file of its own: kernels that are instantiated here are compiled with the flags of gemm.cpp.
#include "gemm_block.h"

namespace chainrule::VARIANT {

namespace {

// The stretch of k that matters to rows [i, i + rows) of C.
struct Stretch {
  int first, end;
  Stretch(const BlockProduct& p, int i, int rows) : first(0), end(p.k) {
    if (p.triangle == LOWER_A) end = min(end, max(0, i + rows + p.diagonal));
    if (p.triangle == UPPER_A) first = min(end, max(0, i - p.diagonal));
  }
};

}  // namespace

void multiply_block(const BlockProduct& p) {
  const RowPanels panels(p.m, BLOCK_ROWS);
  const int slices = max(1, (p.k + KC - 1) / KC), depth = (p.k + slices - 1) / slices;
  Feed<float> feed;
  feed.aRow = p.aRow, feed.aNext = p.aCol, feed.bNext = p.bRow;
  for (int j = 0; j < p.n; j += BLOCK_WIDTH) {
    const int vectors = min(BLOCK_VECTORS, (p.n - j + LANES - 1) / LANES);
    for (int slice = 0; slice < slices; ++slice) {
      for (int panel = 0; panel < panels.count; ++panel) {
        const int i = panels.start(panel), rows = panels.rows(panel);
        if (p.triangle == LOWER_C && j > i + rows - 1 + p.diagonal) continue;
        const Stretch all(p, i, rows);
        const int first = max(all.first, slice * depth), end = min(all.end, (slice + 1) * depth);
        const bool add = p.add || slice > 0;
        if (add && first >= end) continue;
        feed.k = max(0, end - first), feed.add = add;
        const float* a = p.a + i * p.aRow + first * p.aCol;
        for (int g = 0; g * GROUP < rows; ++g) feed.a[g] = a + g * GROUP * p.aRow;
        feed.b[0] = p.b + j / BLOCK_WIDTH * p.bPanel + first * p.bRow;
        kernel_for<float, STRIDED>(rows, vectors)(feed, p.c + i * p.cRow + j, p.cRow);
      }
    }
  }
}

void get_rows(const Rows& from, int rows, int cols, float factor, float* to, int64_t pitch, int width) {
  const vf f = broadcast(factor);
  for (int i = 0; i < rows; ++i, to += pitch) {
    const float* row = from.data + i * from.row;
    for (int j = 0; j < width; j += LANES) {
      const int part = min(LANES, cols - j);
      if (from.col == 1 && part == LANES) {
        store<float>(to + j, load(row + j) * f);
        continue;
      }
      for (int l = 0; l < LANES; ++l) to[j + l] = l < part ? row[(j + l) * from.col] * factor : 0.0f;
    }
  }
}

void put_rows(const float* from, int64_t pitch, int rows, int cols, float factor, float* to, int64_t row) {
  const vf f = broadcast(factor);
  for (int i = 0; i < rows; ++i, from += pitch, to += row)
    for (int j = 0; j < cols; j += LANES) store_part<float>(to + j, load(from + j) * f, min(LANES, cols - j));
}

void pack_block(const float* from, int64_t across, int64_t along, int n, int k, float* to) {
  for (int j = 0; j < n; j += BLOCK_WIDTH, to += int64_t(k) * BLOCK_WIDTH)
    pack_panel(from + j * across, across, along, min(BLOCK_WIDTH, n - j), k, to, BLOCK_WIDTH);
}

}  // namespace chainrule::VARIANT
