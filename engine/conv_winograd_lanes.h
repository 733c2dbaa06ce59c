// Winograd's convolutions (conv_winograd.h) where vectors are short: lanes are neighbouring tiles of a line. Images are read and
// written as they lie, and a line of tiles is filled up to whole vectors.
#pragma once
#include "conv_winograd_weight.h"
#include "gemm_block.h"

namespace chainrule::VARIANT {

constexpr int CUT = 4, PAIR = 2;                   // channels made, and vectors of tiles, of a product: as in gemm_kernels.h

// Pixels x, x + 2, .. and x + 1, x + 3, .. of a line.
INLINE void split_pixels(const float* from, vf& even, vf& odd) {
  const vf a = load(from), b = load(from + LANES);
  even = __builtin_shufflevector(a, b, 0, 2, 4, 6), odd = __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

// Tiles of one channel, and where they lie in an image with zeros around it.
struct TileGrid {
  int high, wide;                                  // of the results
  int lines, across;                               // of tiles; vectors of tiles in a line
  PaddedAxis axis[3];

  TileGrid(int high, int wide, int sourceHigh, int sourceWide, int padY, int padX, int border)
      : high(high), wide(wide), lines((high + 1) / 2), across((wide + 2 * LANES - 1) / (2 * LANES)) {
    axis[1].size = sourceHigh, axis[1].low = padY, axis[1].extent = 2 * lines + border;
    axis[2].size = sourceWide, axis[2].low = padX, axis[2].extent = 2 * LANES * across + border;
  }
  int vectors() const { return lines * across; }
  int64_t pitch() const { return axis[2].extent; }
  int64_t plane() const { return axis[1].extent * pitch(); }
  int64_t corner(int vector) const { return 2 * (vector / across) * pitch() + vector % across * 2 * LANES; }
  void fill(const float* from, int channels, float* to) const {
    for (int c = 0; c < channels; ++c, from += int64_t(axis[1].size) * axis[2].size, to += plane()) fill_channel(from, axis, to);
  }
};

// V of a vector of tiles.
NOINLINE inline void tiles_in(const float* from, int64_t pitch, float* to, int64_t next) {
  vf pixels[16];
#pragma GCC unroll 4
  for (int y = 0; y < 4; ++y, from += pitch) {
    split_pixels(from, pixels[4 * y], pixels[4 * y + 1]);
    split_pixels(from + 2, pixels[4 * y + 2], pixels[4 * y + 3]);
  }
  tile_in(reinterpret_cast<const float*>(pixels), 4 * LANES, to, next);
}

// m[channel][vector][point] = U V for all points: u[point][c][CUT] by v[point][c][PAIR][LANES], c < channels.
NOINLINE inline void multiply_points(const float* u, ptrdiff_t uNext, const float* v, ptrdiff_t vNext, int channels, float* m) {
  for (int point = 0; point < POINTS; ++point, u += uNext, v += vNext, m += LANES) {
    vf acc[CUT][PAIR] = {};
    const float *a = u, *b = v;
    for (int c = channels; c > 0; --c, a += CUT, b += PAIR * LANES) {
      const vf x0 = load(b), x1 = load(b + LANES);
#pragma GCC unroll 4
      for (int r = 0; r < CUT; ++r) {
        const vf y = broadcast(a[r]);
        acc[r][0] = fma(y, x0, acc[r][0]), acc[r][1] = fma(y, x1, acc[r][1]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < CUT; ++r)
#pragma GCC unroll 2
      for (int i = 0; i < PAIR; ++i) store(m + (r * PAIR + i) * POINTS * LANES, acc[r][i]);
  }
}

// The results, and the input gradient.
struct LaneWinograd {
  const Conv& conv;
  bool gradient;
  int channels, made, imagesPer;
  TileGrid grid;
  const float* from;
  float* to;
  float* weights;                                  // [cut of channels made][point][channel read][CUT]

  explicit LaneWinograd(const Conv& c)
      : conv(c), gradient(c.direction == Conv::INPUT_GRADIENT), channels(gradient ? c.o : c.c), made(gradient ? c.c : c.o),
        grid(gradient ? c.in[1] : c.out[1], gradient ? c.in[2] : c.out[2], gradient ? c.out[1] : c.in[1], gradient ? c.out[2] : c.in[2],
             gradient ? 2 - c.pad[1] : c.pad[1], gradient ? 2 - c.pad[2] : c.pad[2], 2) {
    imagesPer = max(1, min(conv.n, 24 / grid.vectors()));
    from = static_cast<const float*>(gradient ? c.y : c.x), to = static_cast<float*>(gradient ? c.x : c.y);
  }

  static bool suits(const Conv& c) {
    const int wide = c.direction == Conv::INPUT_GRADIENT ? c.in[2] : c.out[2], across = (wide + 2 * LANES - 1) / (2 * LANES);
    return Winograd::suits(c) && c.groups == 1 && min(c.c, c.o) >= 8 && wide >= 5 * across;    // most lanes are full
  }

  int cuts() const { return (made + CUT - 1) / CUT; }
  ptrdiff_t pointWeights() const { return channels * CUT; }
  void transform_weights() {
    weights = static_cast<float*>(pool_scratch(0, size_t(cuts() * POINTS * pointWeights()) * sizeof(float), SHARED));
    const int64_t readStep = gradient ? int64_t(made) * 9 : 9, madeStep = gradient ? 9 : int64_t(channels) * 9;
    parallel(cuts(), [&](int64_t cut, int) {
      const float* w = static_cast<const float*>(conv.w) + cut * CUT * madeStep;
      for (int c = 0; c < channels; ++c)
        tile_weights(w + c * readStep, madeStep, min(CUT, made - int(cut) * CUT), gradient,
                     weights + cut * POINTS * pointWeights() + c * CUT, pointWeights());
    });
  }

  int64_t imageSize() const { return channels * grid.plane(); }

  // Vectors of tiles [first, first + count) of the images that follow each other in `images`.
  NOINLINE void compute(const float* images, int64_t image, int first, int count, int worker) const {
    const int each = grid.vectors(), wide = grid.wide;
    const ptrdiff_t next = ptrdiff_t(channels) * PAIR * LANES;
    float* v = static_cast<float*>(pool_scratch(worker, size_t(POINTS * (next + CUT * PAIR * LANES)) * sizeof(float), EXTRA));
    float* m = v + POINTS * next;
    for (int i = 0; i < count; ++i) {
      const int at = first + i;
      const float* corner = images + at / each * imageSize() + grid.corner(at % each);
      for (int c = 0; c < channels; ++c) tiles_in(corner + c * grid.plane(), grid.pitch(), v + (c * PAIR + i) * LANES, next);
    }
    const float* bias = gradient ? nullptr : static_cast<const float*>(conv.bias);
    for (int o = 0; o < made; ++o) {
      if (o % CUT == 0) multiply_points(weights + o / CUT * POINTS * pointWeights(), pointWeights(), v, next, channels, m);
      for (int i = 0; i < count; ++i) {
        const int at = first + i, y = at % each / grid.across * 2, x = at % each % grid.across * 2 * LANES;
        vf result[2][2];
        tile_out(m + (o % CUT * PAIR + i) * POINTS * LANES, broadcast(bias ? bias[o] : 0.0f), result);
        float* out = to + (((image + at / each) * made + o) * grid.high + y) * int64_t(wide) + x;
        for (int line = 0; line < min(2, grid.high - y); ++line, out += wide) {
          store_part<float>(out, zip_low(result[line][0], result[line][1]), min(LANES, wide - x));
          if (wide - x > LANES) store_part<float>(out + LANES, zip_high(result[line][0], result[line][1]), min(LANES, wide - x - LANES));
        }
      }
    }
  }

  void done(int first, int channel, int images, int count) const {
    const int pixels = grid.high * grid.wide;
    for (int i = first; i < first + images; ++i)
      conv.done(i, channel, 0, count, pixels, to + (int64_t(i) * made + channel) * pixels, pixels);
  }

  void run() {
    transform_weights();
    const int parts = conv.n < 4 ? 4 : 1;          // of few images, each task takes some tiles
    const int count = (conv.n + imagesPer - 1) / imagesPer * parts, each = max(1, count / (4 * pool_threads()));
    parallel((count + each - 1) / each, [&](int64_t task, int worker) {
      const int64_t size = imagesPer * imageSize();
      float* images = static_cast<float*>(pool_scratch(worker, size_t(size) * sizeof(float), LOCAL));
      clear(images, size);
      for (int unit = int(task) * each; unit < min(count, int(task + 1) * each); ++unit) {
        const int first = unit / parts * imagesPer, some = min(imagesPer, conv.n - first), vectors = some * grid.vectors();
        for (int i = 0; i < some; ++i)
          grid.fill(from + int64_t(first + i) * channels * grid.axis[1].size * grid.axis[2].size, channels, images + i * imageSize());
        const int end = vectors * (unit % parts + 1) / parts;
        for (int at = vectors * (unit % parts) / parts; at < end; at += PAIR) compute(images, first, at, min(PAIR, end - at), worker);
        if (parts == 1) done(first, 0, some, made);
      }
    });
    if (parts > 1) parallel(conv.n * made, [&](int64_t channel, int) { done(int(channel) / made, int(channel) % made, 1, 1); });
  }
};

// The weight gradient: V times A g A', summed over tiles.
struct LaneWinogradWeight {
  static constexpr int MANY = 16;                  // vectors of tiles together
  const Conv& conv;
  TileGrid x, y;
  int width, slices;

  explicit LaneWinogradWeight(const Conv& c)
      : conv(c), x(c.out[1], c.out[2], c.in[1], c.in[2], c.pad[1], c.pad[2], 2), y(c.out[1], c.out[2], c.out[1], c.out[2], 0, 0, 0),
        width(whole_panels(c.o)), slices(min(8, c.n)) {}

  int64_t sum_size() const { return int64_t(POINTS) * conv.c * width; }

  // Adds some vectors of an image's tiles to sums [point][channel of x][channel of y].
  NOINLINE void add(const float* imageX, const float* imageY, int first, int count, float* memory, float* sums, bool sum) const {
    const int tiles = count * LANES;
    const int64_t vNext = int64_t(conv.c) * tiles, gNext = int64_t(conv.o) * tiles;
    float *g = memory + POINTS * vNext, *packed = g + POINTS * gNext;
    for (int i = 0; i < count; ++i) {
      for (int c = 0; c < conv.c; ++c)
        tiles_in(imageX + c * x.plane() + x.corner(first + i), x.pitch(), memory + c * tiles + i * LANES, vNext);
      for (int o = 0; o < conv.o; ++o) {
        const float* from = imageY + o * y.plane() + y.corner(first + i);
        vf pixels[4];
        split_pixels(from, pixels[0], pixels[1]), split_pixels(from + y.pitch(), pixels[2], pixels[3]);
        tile_gradient(reinterpret_cast<const float*>(pixels), 2 * LANES, g + o * tiles + i * LANES, gNext);
      }
    }
    for (int point = 0; point < POINTS; ++point) {
      pack_block(g + point * gNext, tiles, 1, conv.o, tiles, packed);
      multiply_block({conv.c, conv.o, tiles, memory + point * vNext, tiles, 1, packed, BLOCK_WIDTH, int64_t(tiles) * BLOCK_WIDTH,
                      sums + int64_t(point) * conv.c * width, width, sum});
    }
  }

  void run_slice(int slice, float* sums, int worker) const {
    const int64_t sizeX = conv.c * x.plane(), sizeY = conv.o * y.plane(), tiles = min(MANY, x.vectors()) * LANES;
    const int64_t all = sizeX + sizeY + tiles * (POINTS * (conv.c + conv.o) + width);
    float* images = static_cast<float*>(pool_scratch(worker, size_t(all) * sizeof(float), LOCAL));
    clear(images, sizeX + sizeY);
    const int begin = int(int64_t(conv.n) * slice / slices), end = int(int64_t(conv.n) * (slice + 1) / slices);
    for (int n = begin; n < end; ++n) {
      x.fill(static_cast<const float*>(conv.x) + int64_t(n) * conv.c * conv.in[1] * conv.in[2], conv.c, images);
      y.fill(static_cast<const float*>(conv.y) + int64_t(n) * conv.o * conv.out[1] * conv.out[2], conv.o, images + sizeX);
      for (int at = 0; at < x.vectors(); at += MANY)
        add(images, images + sizeX, at, min(MANY, x.vectors() - at), images + sizeX + sizeY, sums, n > begin || at > 0);
    }
  }

  void run() const {
    float* sums = static_cast<float*>(pool_scratch(0, size_t(sum_size() * slices) * sizeof(float), SHARED));
    parallel(slices, [&](int64_t slice, int worker) { run_slice(int(slice), sums + slice * sum_size(), worker); });
    parallel(conv.c, [&](int64_t c, int) {         // in order, and back to taps
      for (int o = 0; o < conv.o; o += LANES) {
        float* corner = sums + c * width + o;
        for (int64_t at = 0; at < sum_size(); at += int64_t(conv.c) * width)
          for (int s = 1; s < slices; ++s) store<float>(corner + at, load(corner + at) + load(corner + s * sum_size() + at));
        taps_to(corner, int64_t(conv.c) * width, static_cast<float*>(conv.w) + (int64_t(o) * conv.c + c) * 9, int64_t(conv.c) * 9,
                min(LANES, conv.o - o));
      }
    });
  }
};

}  // namespace chainrule::VARIANT
