// Matrix products and convolutions, as the tape describes them. Every variant brings the same two functions.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "dtype.h"

namespace chainrule {

// Called on each finished block of C while it is in cache, float32 C only (16-bit C: before it is rounded).
// tile[r * ld + c] is C(batch, row + r, col + c); for a convolution row is the channel made, col the pixel, batch the image.
// Blocks come in any order, from any thread.
struct Epilogue {
  void (*apply)(void* ctx, int64_t batch, int row, int col, int rows, int cols, float* tile, int ld);
  void* ctx;
};

constexpr int MAX_BATCH_RANK = 6;

// Element strides of one operand: any value, 0 broadcasts, swapped row and col transpose. C's may not overlap.
struct MatrixStrides {
  int64_t batch[MAX_BATCH_RANK];
  int64_t row, col;
};

// C (m x n) = A (m x k) * B (k x n) + bias, for every index of the batch; with `accumulate`, C += instead.
struct Gemm {
  DType dtype = FLOAT32;                           // of a and bias: bfloat16 and float16 compute in float32
  DType bdtype = FLOAT32;                          // of b: float32 beside 16-bit a is rounded to a's type as it is read
  DType cdtype = FLOAT32;                          // of c: 16-bit inputs may give either float32 or their own type
  int m = 0, n = 0, k = 0;
  int batchRank = 0;
  int64_t batchDims[MAX_BATCH_RANK] = {};
  MatrixStrides as = {}, bs = {}, cs = {};
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  const void* bias = nullptr;
  int biasMode = 0;                                // 0 none, 1 one per column, 2 one per row
  int accumulate = 0;
  bool rounded = false;                            // float32 C of 16-bit inputs holds numbers of their type
  const Epilogue* epilogue = nullptr;
};

// Convolution of contiguous x (n, c, in...) with w (o, c / groups, kernel...) giving y (n, o, out...); fewer than three
// dimensions: the leading ones are 1. Each direction overwrites its own result and reads the other two.
struct Conv {
  enum Direction : int32_t { FORWARD = 0, INPUT_GRADIENT = 1, WEIGHT_GRADIENT = 2 };
  Direction direction = FORWARD;                   // writes y, x (from y as its gradient) or w (likewise)
  DType dtype = FLOAT32;                           // of x, w, y and bias
  int n = 0, c = 0, o = 0, groups = 1;
  int in[3] = {1, 1, 1}, kernel[3] = {1, 1, 1}, out[3] = {1, 1, 1};
  int stride[3] = {1, 1, 1}, pad[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  void* x = nullptr;
  void* w = nullptr;
  void* y = nullptr;
  const void* bias = nullptr;                      // one per output channel, forward only
  const Epilogue* epilogue = nullptr;              // float32 only, and no gradients of a stride

  // Tells of finished results: channels [row, row + rows) of an image at its pixels [col, col + cols), `ld` apart from `corner` on.
  template <class T>
  inline __attribute__((always_inline)) void done(int64_t image, int row, int64_t col, int rows, int64_t cols, T* corner,
                                                  int64_t ld) const {
    if constexpr (sizeof(T) == sizeof(float))
      if (epilogue) epilogue->apply(epilogue->ctx, image, row, int(col), rows, int(cols), reinterpret_cast<float*>(corner), int(ld));
  }
};

}  // namespace chainrule

#if defined(VARIANT)
namespace chainrule::VARIANT {
void gemm_run(const Gemm& gemm);
void conv_run(const Conv& conv);
// Of int32, and in the small builds convolutions of float64 (gemm_simple.cpp).
void simple_gemm(const Gemm& gemm);
void simple_conv(const Conv& conv);
}
#endif
