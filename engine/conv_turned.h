// Images turned to (pixel, channel) for kernels whose lanes are channels, the planes of volumes, and tiles of 2x2 results in them.
#pragma once
#include "conv.h"

namespace chainrule::VARIANT {

// Keeps the compiler from making sixteen pointers of one that moves from row to row: they would not fit the registers.
template <class P> INLINE P* moving(P* pointer) {
  asm("" : "+r"(pointer));
  return pointer;
}

// An image (channel, y, x) turned to (channels / LANES, y, x, LANES) with zeros around it, from line `top` on: rows x columns pixels.
struct TurnedImage {
  int channels, high, wide;                        // of the source
  int rows, columns, left;                         // of the copy; zeros before a line
  int64_t apart;                                   // from channel to channel of the source

  int64_t size() const { return int64_t(channels + LANES - 1) / LANES * rows * columns * LANES; }

  // What fill() will read, of images that follow each other.
  Ahead<float> source(const float* from, int top, int images) const {
    const int first = max(0, top), end = max(first, min(high, top + rows));
    return {from + int64_t(first) * wide, apart, int64_t(images) * channels, (end - first) * wide};
  }

  NOINLINE void fill(const float* from, int top, float* to) const {
    const int first = max(0, top), end = max(first, min(high, top + rows));
    const int64_t line = int64_t(columns) * LANES;
    for (int c = 0; c < channels; c += LANES, to += rows * line) {
      clear(to, (first - top) * line);
      clear(to + (end - top) * line, (top + rows - end) * line);
      for (int y = first; y < end; ++y) {
        clear(to + (y - top) * line, left * LANES);
        clear(to + (y - top) * line + (left + wide) * LANES, (columns - left - wide) * LANES);
      }
      float* corner = to + (first - top) * line + left * LANES;
      turn(from + c * apart + int64_t(first) * wide, min(LANES, channels - c), (end - first) * wide, corner);
    }
  }

  // Squares of pixels x channels, lines of the image running on.
  void turn(const float* from, int count, int total, float* to) const {
    const int64_t gap = int64_t(columns - wide) * LANES;
    int rest = wide;
    for (int p = 0; p < total; p += LANES, from += LANES) {
      const int part = min(LANES, total - p);
      const float* row = moving(from);
      vf v[LANES];
      if (part == LANES && count == LANES) {
#pragma GCC unroll 16
        for (int i = 0; i < LANES; ++i, row += apart) v[i] = load(row);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < LANES; ++i, row += apart) v[i] = i < count ? load_part(row, part) : vf{};
      }
      transpose(v);
#pragma GCC unroll 16
      for (int i = 0; i < LANES; ++i) {
        if (i >= part) break;
        store(to, v[i]);
        to += LANES;
        if (--rest == 0) rest = wide, to += gap;
      }
    }
  }
};

// Planes of a volume: which of the source a tap of a plane of results reads.
struct Depth {
  int taps, planes, sourcePlanes, pad, dilation;   // planes of results
  explicit Depth(const Conv& c, bool gradient)
      : taps(c.kernel[0]), planes(gradient ? c.in[0] : c.out[0]), sourcePlanes(gradient ? c.out[0] : c.in[0]),
        pad(gradient ? -c.pad[0] : c.pad[0]), dilation(gradient ? -c.dilation[0] : c.dilation[0]) {}
  int source(int plane, int tap) const {           // -1: beyond the volume
    const int at = plane - pad + tap * dilation;
    return at < sourcePlanes ? max(at, -1) : -1;
  }
};

// Tile number `at` of images that have `lines` lines of `across` tiles.
struct Tile {
  int lines, across, image, y, x;
  Tile(int lines, int across, int at)
      : lines(lines), across(across), image(at / (lines * across)), y(at / across % lines), x(at % across) {}
  void advance() {
    if (++x < across) return;
    x = 0;
    if (++y == lines) y = 0, ++image;
  }
};

}  // namespace chainrule::VARIANT
