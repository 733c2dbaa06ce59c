// Eigenvalues of general matrices: the real Schur form. Rows lie padded(n) numbers apart throughout, with zeros beyond n.
#pragma once
#include "factor_spectral.h"

namespace chainrule::VARIANT {

INLINE int schur_room(int n) { return 6 * padded(n); }
// a becomes H of A = Q H Q^T. `vectors` (n rows): the v of the i-th reflection of Q = H0 H1 .. in row i, from i + 1 on.
void hessenberg(double* a, int n, double* vectors, double* tau, double* room);

// Of H: A = Z T Z^T, where T is triangular but for blocks of two, which have complex eigenvalues. Both have a row more than they need.
struct Schur {
  double *t, *z;                       // z: Z's columns as rows; without it, only eigenvalues are found
  double *re, *im;                     // eigenvalues; of a pair, the one above the real axis comes first
  int n, ld;
  double& at(int r, int c) const { return t[Index(r) * ld + c]; }
  bool run() const;                    // false: no convergence

 private:
  int start_of(int high, double norm) const;
  void finish_pair(int k) const;
  void step(int low, int high, int round) const;
  void sweep(int low, int first, int high, double x, double y, double w) const;
};

}  // namespace chainrule::VARIANT
