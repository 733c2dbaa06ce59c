// Convolutions whose result has many channels: a vector holds output channels, and pixels of a padded image are broadcast.
// Nothing is wasted on ragged image widths, any stride reads the image where it lies, and no load crosses a cache line. Tiles of
// (pixel, channel) are gathered in a strip and transposed on their way out.
//
// The input gradient is the same thing, as in conv.h; where a stride leaves several remainders of x's coordinate, the tiles of each
// go to every stride-th row of the strip.
#pragma once
#include "conv.h"

namespace chainrule::VARIANT {

// Results of one axis: number sweep + i * step reads source elements i * move + shift(tap), for the taps that reach it.
struct StridedAxis {
  ConvAxis axis;
  int low = 0, extent = 1;                         // zeros before element 0 of the padded source, and its length

  int sweeps() const { return axis.sweeps(); }
  int move() const { return axis.gradient ? 1 : axis.stride; }
  int size() const { return axis.gradient ? axis.out : axis.in; }
  int shift(int sweep, int tap) const { return axis.gradient ? axis.shift(sweep, tap) : axis.position(0, tap); }

  void measure() {
    int first = 0, end = size();
    for (int sweep = 0; sweep < sweeps(); ++sweep)
      for (int tap = 0; tap < axis.kernel; ++tap) {
        if (!axis.reads(sweep, tap) || axis.count(sweep) == 0) continue;
        first = min(first, shift(sweep, tap));
        end = max(end, (axis.count(sweep) - 1) * move() + shift(sweep, tap) + 1);
      }
    low = -first, extent = end - first;
  }
};

template <class T> struct BlockedCorrelation {
  static constexpr int L = lanes<T>, W = panelWidth<T>, PIXELS = 128;
  const Conv& conv;
  bool gradient, whole;                            // whole: no zeros are needed, the image is read where it lies
  StridedAxis axes[3];
  PaddedAxis padded[3];
  int channels, rows, taps, panels;                // of one group: read, made; kernel size; panels of W channels made
  int64_t plane, sourceSize, resultSize;
  int chunk, chunks, linesPer, lineCount, blocksPer;
  struct Taps { int depth; const int32_t* steps; const T* weights; };  // steps: from each tap to the next
  Taps* sweeps = nullptr;
  const T* from;
  T* to;

  explicit BlockedCorrelation(const Conv& c) : conv(c), gradient(c.direction == Conv::INPUT_GRADIENT) {
    plane = sourceSize = resultSize = taps = 1, whole = true;
    for (int i = 0; i < 3; ++i) {
      axes[i].axis = {c.in[i], c.kernel[i], c.out[i], c.stride[i], c.pad[i], c.dilation[i], gradient};
      axes[i].measure();
      padded[i].size = axes[i].size(), padded[i].low = axes[i].low, padded[i].extent = axes[i].extent;
      whole = whole && axes[i].extent == axes[i].size();
      plane *= axes[i].extent, taps *= c.kernel[i], sourceSize *= axes[i].size(), resultSize *= axes[i].axis.results();
    }
    channels = (gradient ? c.o : c.c) / c.groups, rows = (gradient ? c.c : c.o) / c.groups, panels = (rows + W - 1) / W;
    from = static_cast<const T*>(gradient ? c.y : c.x);
    to = static_cast<T*>(gradient ? c.x : c.y);
    const int width = axes[2].axis.results(), step = axes[2].axis.step();
    chunk = min(width, PIXELS / step * step), chunks = (width + chunk - 1) / chunk;
    lineCount = axes[0].axis.results() * axes[1].axis.results();
    linesPer = chunks > 1 ? 1 : min(lineCount, PIXELS / width);
    blocksPer = (lineCount + linesPer - 1) / linesPer;
  }

  // Where it pays: lanes are mostly full, the sum is long enough to hide the transpose, and each pixel that is read serves
  // two vectors (or a stride would have to be undone first).
  static bool suits(const Conv& c) {
    const bool gradient = c.direction == Conv::INPUT_GRADIENT;
    const int made = (gradient ? c.c : c.o) / c.groups, read = (gradient ? c.o : c.c) / c.groups;
    const int64_t depth = int64_t(read) * c.kernel[0] * c.kernel[1] * c.kernel[2];
    const int room = (made + L - 1) / L * L;
    return L >= 8 && made * 4 >= room * 3 && (room > L || c.stride[2] > 1) && depth >= 16 && c.stride[2] <= PIXELS;
  }

  int64_t imageSize() const { return channels * plane; }
  int sweepCount() const { return axes[0].sweeps() * axes[1].sweeps() * axes[2].sweeps(); }
  int panelVectors(int panel) const { return min(NV, (rows - panel * W + L - 1) / L); }
  int packedWidth() const { return (rows + L - 1) / L * L; }

  int list_taps(const int (&which)[3], int32_t* offsets, int* tapIndex) const {
    int found = 0;
    for (int z = 0; z < conv.kernel[0]; ++z)
      for (int y = 0; y < conv.kernel[1]; ++y)
        for (int x = 0; x < conv.kernel[2]; ++x) {
          const int tap[3] = {z, y, x};
          bool reads = true;
          int64_t place = 0;
          for (int i = 0; i < 3; ++i) {
            reads = reads && axes[i].axis.reads(which[i], tap[i]);
            place = place * axes[i].extent + axes[i].low + axes[i].shift(which[i], tap[i]);
          }
          if (!reads) continue;
          offsets[found] = int32_t(place);
          tapIndex[found++] = (z * conv.kernel[1] + y) * conv.kernel[2] + x;
        }
    return found;
  }

  // to[panel][channel, tap][W], zero beyond the last channel made.
  void pack_weights(T* to, const int* tapIndex, int tapCount) const {
    const T* w = static_cast<const T*>(conv.w);
    const int64_t rowStep = gradient ? taps : int64_t(channels) * taps, channelStep = gradient ? int64_t(rows) * taps : taps;
    const int64_t groupStep = int64_t(rows) * channels * taps, depth = int64_t(channels) * tapCount;
    parallel(int64_t(conv.groups) * panels, [&](int64_t task, int) {
      const int group = int(task / panels), panel = int(task % panels), wide = panelVectors(panel) * L;
      T* packed = to + group * depth * packedWidth() + panel * W * depth;
      const T* corner = w + group * groupStep + panel * W * rowStep;
      const int count = min(wide, rows - panel * W);
      if (!gradient) return pack_panel(corner, rowStep, 1, count, int(depth), packed, wide);
      for (int c = 0; c < channels; ++c)
        for (int t = 0; t < tapCount; ++t, packed += wide) {
          const T* tap = corner + c * channelStep + tapIndex[t];
          for (int r = 0; r < wide; ++r) packed[r] = r < count ? tap[r * rowStep] : T(0);
        }
    });
  }

  // Scratch memory: the sweeps, steps, tap numbers, then weights.
  void prepare() {
    const int64_t all = int64_t(channels) * taps, head = (sweepCount() * int64_t(sizeof(Taps)) + 63) / 64 * 64;
    const int64_t steps = (all + sweepCount() + taps) * 4 / 64 * 64 + 64, tapBytes = taps * int64_t(4) / 64 * 64 + 64;
    const int64_t weightBytes = conv.groups * all * packedWidth() * int64_t(sizeof(T));
    char* memory = static_cast<char*>(pool_scratch(0, size_t(head + steps + tapBytes + weightBytes + 64), SHARED));
    sweeps = reinterpret_cast<Taps*>(memory);
    int32_t* step = reinterpret_cast<int32_t*>(memory + head);
    int* tapIndex = reinterpret_cast<int*>(memory + head + steps);
    T* weights = reinterpret_cast<T*>(memory + head + steps + tapBytes);
    int which[3], number = 0;
    for (which[0] = 0; which[0] < axes[0].sweeps(); ++which[0])
      for (which[1] = 0; which[1] < axes[1].sweeps(); ++which[1])
        for (which[2] = 0; which[2] < axes[2].sweeps(); ++which[2]) {
          const int count = list_taps(which, step, tapIndex);
          sweeps[number++] = {channels * count, step, weights};
          pack_weights(weights, tapIndex, count);
          const int32_t back = count > 0 ? int32_t(plane) - step[count - 1] + step[0] : 0;
          for (int t = count - 1; t > 0; --t) step[t] -= step[t - 1];
          for (int64_t c = 1; c < channels; ++c) {
            step[c * count] = back;
            for (int t = 1; t < count; ++t) step[c * count + t] = step[t];
          }
          step += int64_t(channels) * count, weights += conv.groups * int64_t(channels) * count * packedWidth();
        }
  }

  void fill(T* image, int64_t item, int channel) const {
    fill_channel(from + (item * channels + channel) * sourceSize, padded, image + channel * plane);
  }

  int64_t blocks() const { return int64_t(panels) * blocksPer * chunks; }

  // Some lines of results, or a chunk of one, for one panel of channels.
  NOINLINE void compute(const T* image, int64_t item, int64_t block) const {
    const int panel = int(block % panels), x0 = int(block / panels % chunks) * chunk, first = int(block / panels / chunks) * linesPer;
    const int width = min(chunk, axes[2].axis.results() - x0), lines = min(linesPer, lineCount - first);
    alignas(64) T strip[PIXELS * W];
    const int64_t pixel = int64_t(first) * axes[2].axis.results() + x0;
    Ahead<T> result = {to + (item * rows + panel * W) * resultSize + pixel, resultSize, min(W, rows - panel * W), lines * width};
    for (int line = 0; line < lines; ++line) compute_line(image, item, panel, first + line, x0, width, strip + line * width * W, result);
    write(strip, item, panel, pixel, lines * width);
  }

  void compute_line(const T* image, int64_t item, int panel, int line, int x0, int width, T* strip, Ahead<T>& result) const {
    const int high = axes[1].axis.results(), z = line / high, y = line % high, step = axes[2].axis.step(), move = axes[2].move();
    const int stepZ = axes[0].axis.step(), stepY = axes[1].axis.step(), vectors = panelVectors(panel);
    const int first = (z % stepZ * axes[1].sweeps() + y % stepY) * axes[2].sweeps();
    const int64_t row = int64_t(z / stepZ) * axes[0].move() * axes[1].extent + int64_t(y / stepY) * axes[1].move();
    const T* base = image + row * axes[2].extent + x0 / step * int64_t(move);
    Feed<T> feed;
    feed.aRow = move, feed.bNext = vectors * L;
    for (int s = 0; s < axes[2].sweeps(); ++s) {
      const Taps& sweep = sweeps[first + s];
      const int count = (width - s + step - 1) / step;
      if (count <= 0) continue;
      feed.k = sweep.depth, feed.offsets = sweep.steps;
      feed.b[0] = sweep.weights + item % conv.groups * int64_t(sweep.depth) * packedWidth() + int64_t(panel) * W * sweep.depth;
      const RowPanels tiles(count);
      for (int t = 0; t < tiles.count; ++t) {
        const int at = tiles.start(t), height = tiles.rows(t);
        for (int g = 0; g * GROUP < height; ++g) feed.a[g] = base + int64_t(at + g * GROUP) * move;
        result.template fetch<1>((height * W * int(sizeof(T)) + 63) / 64);
        kernel_for<T, STEPPED>(height, vectors)(feed, strip + int64_t(at * step + s) * W, int64_t(step) * W);
      }
    }
  }

  // strip (pixel, channel) -> result (channel, pixel), squares of L.
  void write(const T* strip, int64_t item, int panel, int64_t pixel, int count) const {
    typedef Vec<T> V;
    const int made = min(W, rows - panel * W), channel0 = int(item % conv.groups) * rows + panel * W;
    const T* bias = gradient ? nullptr : static_cast<const T*>(conv.bias);
    T* corner = to + (item * rows + panel * W) * resultSize + pixel;
    for (int c = 0; c < made; c += L) {
      const int some = min(L, made - c);
      const V add = bias ? load_part(bias + channel0 + c, some) : V{};
      for (int p = 0; p < count; p += L) {
        V v[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) v[i] = load(strip + (p + i) * W + c) + add;
        transpose(v);
        T* out = corner + c * resultSize + p;
        if (some == L && p + L <= count) {
#pragma GCC unroll 16
          for (int i = 0; i < L; ++i) store(out + i * resultSize, v[i]);
        } else {
          const int part = min(L, count - p);
#pragma GCC unroll 16
          for (int i = 0; i < L; ++i)
            if (i < some) store_part<T>(out + i * resultSize, v[i], part);
        }
      }
    }
    conv.done(item / conv.groups, channel0, pixel, made, count, corner, resultSize);
  }

  void run() {
    prepare();
    const int64_t items = int64_t(conv.n) * conv.groups;
    const auto source = [&](int64_t item) { return from + item * channels * sourceSize; };
    if (items >= 4) {
      const int64_t each = max<int64_t>(1, items / (8 * pool_threads())), tasks = (items + each - 1) / each;
      parallel(tasks, [&](int64_t task, int worker) {
        T* image = whole ? nullptr : static_cast<T*>(pool_scratch(worker, size_t(imageSize()) * sizeof(T), LOCAL));
        if (!whole) clear(image, imageSize());
        for (int64_t item = task * each; item < min(items, (task + 1) * each); ++item) {
          for (int c = 0; c < channels && !whole; ++c) fill(image, item, c);
          for (int64_t block = 0; block < blocks(); ++block) compute(whole ? source(item) : image, item, block);
        }
      });
      return;
    }
    T* image = whole ? nullptr : static_cast<T*>(pool_scratch(0, size_t(imageSize()) * sizeof(T), EXTRA));
    if (!whole) clear(image, imageSize());
    for (int64_t item = 0; item < items; ++item) {
      if (!whole) parallel(channels, [&](int64_t c, int) { fill(image, item, int(c)); });
      parallel(blocks(), [&](int64_t block, int) { compute(whole ? source(item) : image, item, block); });
    }
  }
};

}  // namespace chainrule::VARIANT
