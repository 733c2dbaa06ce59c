// Matrix products and convolutions of a tape, handed to gemm.cpp.
#include "simd.h"
#include "gemm_api.h"
#include "kernels.h"

namespace chainrule::VARIANT {

namespace {

MatrixStrides strides_of(const View& v, int batch) {
  MatrixStrides out = {};
  for (int d = 0; d < batch; ++d) out.batch[d] = v.strides[d];
  out.row = v.strides[batch], out.col = v.strides[batch + 1];
  return out;
}

// What runs on each block of C that is done.
struct Then {
  const Step& step;
  const int32_t* body;
  const float* c;
  int width;

  static void of_product(void* ctx, int64_t, int, int, int rows, int cols, float* tile, int) {
    const Then& then = *static_cast<const Then*>(ctx);
    const int64_t at = tile - then.c;
    map_part(then.step, then.body, {0, at / then.width, at % then.width, rows, cols, then.width});
  }
  static void of_images(void* ctx, int64_t image, int row, int col, int rows, int cols, float*, int) {
    const Then& then = *static_cast<const Then*>(ctx);
    map_part(then.step, then.body, {image, row, col, rows, cols, then.width});
  }
};

}  // namespace

int32_t gemm(const Step& step) {
  Gemm g;
  Reader tape(step);
  g.m = tape.next(), g.n = tape.next(), g.k = tape.next(), g.batchRank = tape.next();
  if (g.batchRank > MAX_BATCH_RANK) return step.fail(ENGINE_TAPE, GEMM);
  const int32_t* dims = tape.ints(g.batchRank);
  for (int d = 0; d < g.batchRank; ++d) g.batchDims[d] = dims[d];
  const View a = tape.view(g.batchRank + 2), b = tape.view(g.batchRank + 2), c = tape.view(g.batchRank + 2);
  g.dtype = DType(a.dtype), g.bdtype = DType(b.dtype), g.cdtype = DType(c.dtype);
  g.a = a.data, g.b = b.data, g.c = c.data;
  g.as = strides_of(a, g.batchRank), g.bs = strides_of(b, g.batchRank), g.cs = strides_of(c, g.batchRank);
  if (tape.next() != 0) {
    g.bias = tape.view(1).data;
    g.biasMode = 1;
  }
  enum { NOTHING, POINTWISE, ROUNDED };
  const int32_t more = tape.next();
  Then then{step, tape.at, static_cast<const float*>(g.c), g.n};
  const Epilogue epilogue{Then::of_product, &then};
  if (more == POINTWISE) g.epilogue = &epilogue;
  g.rounded = more == ROUNDED;
  gemm_run(g);
  return ENGINE_OK;
}

int32_t conv(const Step& step) {
  Conv c;
  Reader tape(step);
  c.direction = Conv::Direction(tape.next());
  c.n = tape.next(), c.c = tape.next(), c.o = tape.next(), c.groups = tape.next();
  int* const sizes[] = {c.in, c.kernel, c.out, c.stride, c.pad, c.dilation};
  for (int* size : sizes)
    for (int d = 0; d < 3; ++d) size[d] = tape.next();
  const Operand a = tape.operand(), b = tape.operand(), out = tape.operand();
  c.dtype = DType(out.dtype);
  switch (c.direction) {
    case Conv::FORWARD: c.x = a.data, c.w = b.data, c.y = out.data; break;
    case Conv::INPUT_GRADIENT: c.y = a.data, c.w = b.data, c.x = out.data; break;
    default: c.y = a.data, c.x = b.data, c.w = out.data;
  }
  if (tape.next() != 0) c.bias = tape.operand().data;
  const bool more = tape.next() != 0;
  const int* const made = c.direction == Conv::FORWARD ? c.out : c.in;
  Then then{step, tape.at, nullptr, made[0] * made[1] * made[2]};
  const Epilogue epilogue{Then::of_images, &then};
  if (more) c.epilogue = &epilogue;
  conv_run(c);
  return ENGINE_OK;
}

}  // namespace chainrule::VARIANT
