// Small products in memory that a kernel has laid out for them: the building blocks of attention and of recurrent layers.
// They run on the calling thread, inside a task.
#pragma once
#include "gemm.h"

namespace chainrule::VARIANT {

// What is known to be zero, or is not asked for, in a product with a triangular operand.
enum Triangle : int32_t {
  FULL,
  LOWER_C,                                         // only C(i, j) with j <= i + diagonal is needed; the rest is unspecified
  LOWER_A,                                         // A(i, p) is zero (and not read) for p > i + diagonal
  UPPER_A,                                         // the same for p < i - diagonal
};

// C (m x n) = A (m x k) * B (k x n), or C += with `add`. A has any strides. B lies in panels of BLOCK_WIDTH columns: row p of
// panel j at b + j * bPanel + p * bRow (dense rows: bPanel = BLOCK_WIDTH). B and C are readable, C writable, up to the
// next whole vector of columns.
struct BlockProduct {
  int m, n, k;
  const float* a;
  int64_t aRow, aCol;
  const float* b;
  int64_t bRow, bPanel;
  float* c;
  int64_t cRow;
  bool add = false;
  Triangle triangle = FULL;
  int diagonal = 0;
};

constexpr int BLOCK_WIDTH = BLOCK_VECTORS * LANES;

// Columns rounded up to whole vectors, and to whole panels.
INLINE int whole_vectors(int n) { return (n + LANES - 1) / LANES * LANES; }
INLINE int whole_panels(int n) { return (n + BLOCK_WIDTH - 1) / BLOCK_WIDTH * BLOCK_WIDTH; }

void multiply_block(const BlockProduct& product);

// B(p, j) = from[j * across + p * along] as panels: whole_panels(n) * k floats, zeros where j >= n.
void pack_block(const float* from, int64_t across, int64_t along, int n, int k, float* to);

// A matrix of any strides.
struct Rows {
  const float* data;
  int64_t row, col;
};

// to[i * pitch + j] = from(i, j) * factor for j < cols, zero for cols <= j < width, which is a whole number of vectors.
void get_rows(const Rows& from, int rows, int cols, float factor, float* to, int64_t pitch, int width);
// to[i * row + j] = from[i * pitch + j] * factor, j < cols.
void put_rows(const float* from, int64_t pitch, int rows, int cols, float factor, float* to, int64_t row);

}  // namespace chainrule::VARIANT
