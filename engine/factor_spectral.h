// What eigenvalues and singular values share: rotations that wait, reflections of rows, and the symmetric problem itself.
#pragma once
#include "factor.h"
#include "simd.h"

namespace chainrule::VARIANT {

// The rows of a square matrix lie an odd number of cache lines apart: neither columns nor pairs of rows crowd the cache.
INLINE int padded(int n) { return (n + LINE - 1) / LINE / 2 * 2 * LINE + LINE; }

// Rotations of neighbouring rows of z (n x n) that wait: many sweeps over the rows are then made on a strip of columns in cache.
struct Sweeps {
  static constexpr int MOST = 32, STRIP = 4 * LANES_D;
  double* z;
  int n, ld, used;
  double *cosines, *sines;             // MOST x n each
  int first[MOST], step[MOST], count[MOST];

  static size_t room(int n) { return size_t(2 * MOST) * size_t(n); }
  Sweeps(double* rows, int size, int row, double* memory)
      : z(rows), n(size), ld(row), used(0), cosines(memory), sines(memory + Index(MOST) * size) {}

  // Starts a sweep: rows from, from + by, .. . Rotation k takes (x, y), the rows k and k + 1, to (c x + s y, c y - s x).
  void begin(int from, int by) {
    if (used == MOST) flush();
    first[used] = from, step[used] = by, count[used++] = 0;
  }
  INLINE void add(double c, double s) {
    const Index at = Index(used - 1) * n + count[used - 1]++;
    cosines[at] = c, sines[at] = s;
  }

  template <int W> void turn(int column) const {
    for (int k = 0; k < used; ++k) {
      const double *c = cosines + Index(k) * n, *s = sines + Index(k) * n;
      double* row = z + Index(first[k]) * ld + column;
      const Index by = Index(step[k]) * ld;
      vd x[W];
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) x[w] = load(row + w * LANES_D);
      for (int i = 0; i < count[k]; ++i, row += by) {
#pragma GCC unroll 4
        for (int w = 0; w < W; ++w) {
          const vd y = load(row + by + w * LANES_D);
          store(row + w * LANES_D, c[i] * x[w] + s[i] * y);
          x[w] = c[i] * y - s[i] * x[w];
        }
      }
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) store(row + w * LANES_D, x[w]);
    }
  }
  void turn_one(int column) const {
    for (int k = 0; k < used; ++k) {
      double* row = z + Index(first[k]) * ld + column;
      for (int i = 0; i < count[k]; ++i, row += Index(step[k]) * ld) {
        const double c = cosines[Index(k) * n + i], s = sines[Index(k) * n + i], x = row[0], y = row[Index(step[k]) * ld];
        row[0] = c * x + s * y, row[Index(step[k]) * ld] = c * y - s * x;
      }
    }
  }
  void flush() {
    parallel((n + STRIP - 1) / STRIP, [&](int64_t task, int) {
      int column = int(task) * STRIP;
      const int end = n - column < STRIP ? n : column + STRIP;
      if (column + STRIP <= end) return turn<4>(column);
      for (; column + LANES_D <= end; column += LANES_D) turn<1>(column);
      for (; column < end; ++column) turn_one(column);
    });
    used = 0;
  }
};

size_t reflect_room(int n);            // in numbers, as all rooms here
// Rows of z become H0 H1 .. of them: H_i = I - tau_i v v^T, where v is row i of `vectors` and begins at i + shift.
void reflect_rows(const double* vectors, const double* tau, int count, int shift, double* z, int n, double* room);
void set_identity(double* z, int n);
size_t symmetric_room(int n);
// Of a symmetric matrix, upper triangle, which is lost: values d, `order` by value, and in rows of z, if there is one, vectors.
bool eigenvalues(double* a, int n, double* d, double* z, int32_t* order, double* room);

}  // namespace chainrule::VARIANT
