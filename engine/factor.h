// Parts shared by the factorizations of dense matrices. Blocks that are factored are float64 for every element type; what is
// left of a large matrix is brought up to date by products of its own type.
#pragma once
#include "convert.h"
#include "gemm_api.h"
#include "pool.h"

namespace chainrule::VARIANT {

enum FactorBy : int32_t { CHOLESKY, LU, QR, EIGH, SVD, TRIANGULAR, PERMUTATION, EXP, EIG };
enum FactorFlags : int32_t { UPPER = 1, UNIT = 2, VECTORS = 4, STRICT = 8 };

// Rows and columns that are factored at once. In WASM, where room is dear, a matrix is one block, whatever its size.
#if defined(__wasm__)
constexpr bool BLOCKED = false;
#else
constexpr bool BLOCKED = true;
#endif
constexpr int BLOCK = 64;
INLINE int block_size(int left, int block) { return BLOCKED && left > block ? block : left; }
constexpr int OUT_OF_MEMORY = -1;

typedef ptrdiff_t Index;               // 32 bits in WASM, where wider ones would cost room

struct Matrix {
  char* data;
  int32_t dtype;
  Index row, col;                      // strides, in elements
  Matrix at(Index r, Index c) const;
  Matrix transposed() const { return {data, dtype, col, row}; }
};

void read(const Matrix& a, int rows, int cols, double* to);
void write(const double* from, const Matrix& a, int rows, int cols);
void clear(double* x, Index n);
INLINE double magnitude(double x) { return x < 0 ? -x : x; }

// What is allocated here lives as long as the call.
struct Room {
  void* memory;
  explicit Room(size_t bytes) : memory(engine_alloc(bytes)) {}
  ~Room() { if (memory != nullptr) engine_free(memory); }
  Room(const Room&) = delete;
  double* doubles() const { return static_cast<double*>(memory); }
};

double dot(const double* x, const double* y, int n);
void axpy(double factor, const double* x, double* y, int n);       // y += factor x
void scale(double factor, double* x, int n);
// C (m x n) (+)= A (m x k) B (k x n), in C's type.
void multiply(const Matrix& c, int m, int n, const Matrix& a, int k, const Matrix& b, bool accumulate);

// Of factor_blocks.cpp. Columns that are factored one by one: NARROW.
constexpr int NARROW = 8;
// X (n x cols, in rows of `ldx`) = D^-1 X for a triangle D in rows of `ld`.
void solve_rows(const double* d, int ld, int n, int32_t flags, double* x, int ldx, int cols);
// L of a block from its lower triangle; what is above is not defined. `room`: 2 NARROW n numbers.
int cholesky_block(double* d, int n, double* room);
// P L U of a panel of `cols` columns by partial pivoting; the first column without a pivot, from 1. `strip`: NARROW numbers a row.
int lu_panel(double* p, int rows, int cols, int32_t* pivots, double* strip);

// Of factor_divide.cpp. Two eigensystems become that of the whole, whose matrix is theirs and rho v v^T, v with a 1 at `half` - 1 and the
// sign of rho at `half`. d: values; z: vectors in rows of `ld`, those of a half with zeros in the other; order: rows by value, of each half.
size_t join_room(int n);               // in numbers
void join(double* d, double* z, int ld, int n, int half, double rho, int32_t* order, double* room);

// Of factor_orthogonal.cpp, where they are described.
constexpr int PANEL = 32;
void block_factor(const double* vt, int count, int length, const double* tau, double* t);
double reflector(double* x, int n, double* tau);
void reflect(const double* v, double tau, double* x, int n);
void qr_rows(double* p, int count, int length, double* tau, double* diagonal);
void rotate(double* x, double* y, double c, double s, int n);
double sign_of(const double* v, int n);
void order_by(const double* values, int n, int32_t* order, bool descending);
bool all_finite(const double* x, Index n);
double hypotenuse(double a, double b);
void read_symmetric(const Matrix& from, int n, double* a, int ld);
// Columns of `to`: `factors` times the rows of x in some order. `rows`: LINE length numbers.
constexpr int LINE = 8;                // numbers in a line of the cache
void write_columns(const double* x, int ld, const int32_t* order, const double* factors, int n, int length, const Matrix& to, double* rows);

// Each factors one matrix: 0, the order at which it failed (from 1), or OUT_OF_MEMORY. o: input(s), then outputs.
int factor_qr(const Matrix* o, int m, int n);
int factor_eigh(const Matrix* o, int n, int32_t flags);
int factor_svd(const Matrix* o, int m, int n, int32_t flags);
int factor_eig(const Matrix* o, int n, int32_t flags);

}  // namespace chainrule::VARIANT
