// Convolutions without patches in memory. Each image is copied once with zeros around it; then output pixel j reads tap
// (c, ky, kx) at `offset of the tap + j`, so the micro-kernel runs on the padded image itself through a table of offsets.
//
// The input gradient is the same thing: the padded image is y's gradient, the weights are read the other way round, and
// a stride gives one sweep for each remainder of x's coordinate, each with the taps that reach it.
#pragma once
#include "gemm.h"

namespace chainrule::VARIANT {

// One axis of a convolution as the reader of a padded image: output t of a sweep reads plane(tap) at t + shift(tap).
struct ConvAxis {
  int in, kernel, out, stride, pad, dilation;
  bool gradient;                                   // reads `out` elements to make `in`, else the reverse

  int sweeps() const { return gradient ? stride : 1; }
  int results() const { return gradient ? in : out; }
  int step() const { return gradient ? stride : 1; }
  int count(int sweep) const { return gradient ? max(0, (in - sweep + stride - 1) / stride) : out; }
  int position(int sweep, int tap) const { return gradient ? sweep + pad - tap * dilation : tap * dilation - pad; }
  bool reads(int sweep, int tap) const { return !gradient || position(sweep, tap) % stride == 0; }
  int shift(int sweep, int tap) const { return floor_div(position(sweep, tap), stride); }
  int period() const {
    int a = stride, b = dilation;
    while (b != 0) { const int r = a % b; a = b; b = r; }
    return stride / a;
  }
  int plane(int tap) const { return gradient ? 0 : tap % period(); }

  PaddedAxis source() const {
    PaddedAxis axis;
    axis.size = gradient ? out : in;
    if (!gradient) axis.step = stride, axis.phases = min(kernel, period()), axis.pad = pad, axis.dilation = dilation;
    int low = 0, end = 1;
    for (int sweep = 0; sweep < sweeps(); ++sweep)
      for (int tap = 0; tap < kernel; ++tap)
        if (reads(sweep, tap)) low = min(low, shift(sweep, tap)), end = max(end, shift(sweep, tap) + count(sweep));
    axis.low = -low;
    axis.extent = end - low;
    return axis;
  }
};

// Rows of memory that will be needed soon, asked for a few lines at a time while there is work to do.
template <class T> struct Ahead {
  const T* row;
  int64_t next;
  int64_t rows;
  int width, at = 0;

  template <int WRITE> INLINE void fetch(int lines) {
    for (; PREFETCHES && lines > 0 && rows > 0; --lines) {
      __builtin_prefetch(row + at, WRITE, WRITE ? 3 : 2);
      if ((at += 64 / int(sizeof(T))) < width) continue;
      at = 0, row += next, --rows;
    }
  }
};

// Columns of a result that are computed together before they are written: they share the panel of weights in L1.
constexpr int STRIP = 32 * LANES;
constexpr int STRIP_LD = STRIP + 4 * LANES;

// One sweep over the results (of one remainder of each axis): its taps as offsets, its weights as packed panels.
template <class T> struct Sweep {
  int at[3], count[3], step[3];                    // results: first coordinate, how many, how far apart
  int depth;                                       // channels x taps
  int32_t* offsets;
  T* weights;
  bool linear;                                     // rows follow each other, the gaps between them computed and dropped
  int pitch;                                       // columns from one row to the next in a strip
  int rowsPer, columnsPer;                         // of a strip
  int rowBlocks, columnBlocks;
};

// Forward and input gradient, for one group at a time.
template <class T> struct Correlation {
  const Conv& conv;
  bool gradient;
  ConvAxis axes[3];
  PaddedAxis padded[3];
  int channels, rows, taps;                        // of one group: read, made; kernel size
  int64_t plane, planes, sourceSize, resultSize;   // padded plane, planes per channel, elements of an unpadded channel
  RowPanels panels;
  Sweep<T>* sweeps = nullptr;
  int sweepCount = 0;
  const T* from;
  T* to;

  explicit Correlation(const Conv& c)
      : conv(c), gradient(c.direction == Conv::INPUT_GRADIENT), panels((gradient ? c.c : c.o) / c.groups) {
    plane = planes = sourceSize = resultSize = taps = 1;
    for (int i = 0; i < 3; ++i) {
      axes[i] = {c.in[i], c.kernel[i], c.out[i], c.stride[i], c.pad[i], c.dilation[i], gradient};
      padded[i] = axes[i].source();
      plane *= padded[i].extent, planes *= padded[i].phases, taps *= c.kernel[i];
      sourceSize *= padded[i].size, resultSize *= axes[i].results();
    }
    channels = (gradient ? c.o : c.c) / c.groups;
    rows = (gradient ? c.c : c.o) / c.groups;
    from = static_cast<const T*>(gradient ? c.y : c.x);
    to = static_cast<T*>(gradient ? c.x : c.y);
  }

  int64_t paddedSize() const { return channels * planes * plane + 2 * STRIP_LD; }

  void plan(Sweep<T>& sweep) const {
    const int height = sweep.count[1], width = sweep.count[2], line = padded[2].extent;
    const int vectors = (width + LANES_OF - 1) / LANES_OF;
    const double dense = double(width) / (vectors * LANES_OF);
    const int flat = ((height - 1) * line + width + LANES_OF - 1) / LANES_OF * LANES_OF;
    sweep.linear = width <= STRIP && double(height) * width / flat > dense + 0.03;
    sweep.pitch = sweep.linear ? line : vectors * LANES_OF;
    sweep.columnsPer = min(width, STRIP);
    sweep.rowsPer = max(1, min(height, STRIP / sweep.pitch));
    sweep.rowBlocks = (height + sweep.rowsPer - 1) / sweep.rowsPer;
    sweep.rowsPer = sweep.rowBlocks ? (height + sweep.rowBlocks - 1) / sweep.rowBlocks : 1;
    sweep.columnBlocks = (width + STRIP - 1) / STRIP;
  }
  static constexpr int LANES_OF = lanes<T>;

  // Lists the taps of a sweep: fills offsets and the index of each tap in the kernel, returns how many.
  int list_taps(const int (&which)[3], int32_t* offsets, int* tapIndex) const {
    int found = 0;
    for (int z = 0; z < conv.kernel[0]; ++z)
      for (int y = 0; y < conv.kernel[1]; ++y)
        for (int x = 0; x < conv.kernel[2]; ++x) {
          const int tap[3] = {z, y, x};
          bool reads = true;
          int64_t phase = 0, place = 0;
          for (int i = 0; i < 3; ++i) {
            reads = reads && axes[i].reads(which[i], tap[i]);
            phase = phase * padded[i].phases + axes[i].plane(tap[i]);
            place = place * padded[i].extent + padded[i].low + axes[i].shift(which[i], tap[i]);
          }
          if (!reads) continue;
          offsets[found] = int32_t(phase * plane + place);
          tapIndex[found++] = (z * conv.kernel[1] + y) * conv.kernel[2] + x;
        }
    return found;
  }

  void pack_weights(const Sweep<T>& sweep, const int* tapIndex, int tapCount) const {
    const T* w = static_cast<const T*>(conv.w);
    const int64_t rowStep = gradient ? taps : int64_t(channels) * taps, channelStep = gradient ? int64_t(rows) * taps : taps;
    const int64_t groupStep = int64_t(rows) * channels * taps;
    parallel(int64_t(conv.groups) * panels.count, [&](int64_t task, int) {
      const int group = int(task / panels.count), panel = int(task % panels.count);
      const int start = panels.start(panel), height = panels.rows(panel);
      T* packed = sweep.weights + int64_t(group) * rows * sweep.depth + int64_t(start) * sweep.depth;
      const T* corner = w + group * groupStep + start * rowStep;
      if (!gradient) return pack_panel(corner, rowStep, 1, height, sweep.depth, packed, height);
      for (int c = 0; c < channels; ++c)
        for (int t = 0; t < tapCount; ++t)
          for (int r = 0; r < height; ++r) *packed++ = corner[r * rowStep + c * channelStep + tapIndex[t]];
    });
  }

  // Lays out every sweep in scratch memory: a Sweep each, then offsets, then weights.
  void prepare() {
    const int64_t combinations = int64_t(axes[0].sweeps()) * axes[1].sweeps() * axes[2].sweeps();
    const int64_t offsetBytes = (int64_t(channels) * taps + taps) * 4 + 64, tapBytes = taps * int64_t(4) + 64;
    const int64_t weightBytes = int64_t(conv.groups) * rows * channels * taps * sizeof(T) + 64;
    const int64_t sweepBytes = (combinations * sizeof(Sweep<T>) + 63) / 64 * 64;
    char* memory = static_cast<char*>(pool_scratch(0, size_t(sweepBytes + offsetBytes + tapBytes + weightBytes), SHARED));
    sweeps = reinterpret_cast<Sweep<T>*>(memory);
    T* weights = reinterpret_cast<T*>(memory + sweepBytes);
    int32_t* offsets = reinterpret_cast<int32_t*>(memory + sweepBytes + (weightBytes + 63) / 64 * 64);
    int* tapIndex = offsets + int64_t(channels) * taps + taps;
    int which[3];
    for (which[0] = 0; which[0] < axes[0].sweeps(); ++which[0])
      for (which[1] = 0; which[1] < axes[1].sweeps(); ++which[1])
        for (which[2] = 0; which[2] < axes[2].sweeps(); ++which[2]) {
          Sweep<T>& sweep = sweeps[sweepCount];
          for (int i = 0; i < 3; ++i)
            sweep.at[i] = which[i], sweep.count[i] = axes[i].count(which[i]), sweep.step[i] = axes[i].step();
          if (sweep.count[0] <= 0 || sweep.count[1] <= 0 || sweep.count[2] <= 0) continue;
          ++sweepCount;
          plan(sweep);
          const int tapCount = list_taps(which, offsets, tapIndex);
          for (int64_t c = 1; c < channels; ++c)
            for (int t = 0; t < tapCount; ++t) offsets[c * tapCount + t] = int32_t(offsets[t] + c * planes * plane);
          sweep.depth = channels * tapCount, sweep.offsets = offsets, sweep.weights = weights;
          pack_weights(sweep, tapIndex, tapCount);
          offsets += sweep.depth, weights += int64_t(conv.groups) * rows * sweep.depth;
        }
  }

  void fill(T* image, int64_t item, int channel) const {
    fill_channel(from + (item * channels + channel) * sourceSize, padded, image + channel * planes * plane);
  }

  // Blocks of an image: every sweep, depth, strip and panel of rows. Calls visit(sweep, z, rowBlock, columnBlock, panel).
  int64_t blocks(const Sweep<T>& sweep) const {
    return int64_t(sweep.count[0]) * sweep.rowBlocks * sweep.columnBlocks * panels.count;
  }

  NOINLINE void compute(const T* image, int64_t item, const Sweep<T>& sweep, int64_t block) const {
    const int panel = int(block % panels.count), xBlock = int(block / panels.count % sweep.columnBlocks);
    const int64_t rest = block / panels.count / sweep.columnBlocks;
    const int z = int(rest / sweep.rowBlocks), y0 = int(rest % sweep.rowBlocks) * sweep.rowsPer, x0 = xBlock * STRIP;
    const int height = min(sweep.rowsPer, sweep.count[1] - y0), width = min(sweep.columnsPer, sweep.count[2] - x0);
    if (height <= 0) return;
    const int start = panels.start(panel), count = panels.rows(panel), line = padded[2].extent;
    alignas(64) T strip[KERNEL_ROWS * STRIP_LD];
    Feed<T> feed;
    const T* weights = sweep.weights + (item % conv.groups * rows + start) * sweep.depth;
    for (int g = 0; g * GROUP < count; ++g) feed.a[g] = weights + g * GROUP;
    feed.aRow = 1, feed.aNext = count, feed.offsets = sweep.offsets, feed.k = sweep.depth;
    const T* base = image + (int64_t(z) * padded[1].extent + y0) * line + x0;
    const int rowVectors = (width + LANES_OF - 1) / LANES_OF;
    const int vectors = sweep.linear ? ((height - 1) * line + width + LANES_OF - 1) / LANES_OF : height * rowVectors;
    const T* result = to + (item * rows + start) * resultSize + (int64_t(z) * sweep.count[1] + y0) * sweep.count[2] + x0;
    for (int v = 0; v < vectors; v += NV) {
      const int part = min(NV, vectors - v);
      if (PREFETCHES && sweep.step[2] == 1)        // the results' lines come from far away: ask for them in time
        for (int r = 0; r < count; ++r)
          for (int i = 0; i < part; ++i) __builtin_prefetch(result + r * resultSize + (v + i) * LANES_OF, 1);
      for (int i = 0; i < part; ++i)
        feed.b[i] = sweep.linear ? base + (v + i) * LANES_OF
                                 : base + (v + i) / rowVectors * line + (v + i) % rowVectors * LANES_OF;
      kernel_for<T, INDEXED>(count, part)(feed, strip + v * LANES_OF, STRIP_LD);
    }
    write(strip, item, sweep, z, y0, x0, start, count, height, width);
  }

  void write(const T* strip, int64_t item, const Sweep<T>& sweep, int z, int y0, int x0, int start, int count, int height,
             int width) const {
    const int pitch = sweep.linear ? sweep.pitch : (width + LANES_OF - 1) / LANES_OF * LANES_OF, step = sweep.step[2];
    const T* bias = gradient ? nullptr : static_cast<const T*>(conv.bias);
    const int channel0 = int(item % conv.groups) * rows + start;
    T* corner = to + (item * rows + start) * resultSize;
    const int64_t lineSize = axes[2].results(), height3 = axes[1].results();
    const int64_t first = ((z * int64_t(sweep.step[0]) + sweep.at[0]) * height3 + y0 * int64_t(sweep.step[1]) + sweep.at[1]) * lineSize +
                          x0 * int64_t(step) + sweep.at[2];
    for (int r = 0; r < count; ++r) {
      const T add = bias ? bias[channel0 + r] : T(0);
      for (int y = 0; y < height; ++y) {
        const T* row = strip + r * STRIP_LD + y * pitch;
        T* out = corner + r * resultSize + first + y * sweep.step[1] * lineSize;
        if (step == 1) {
          for (int x = 0; x < width; x += LANES_OF)
            store_part<T>(out + x, load(row + x) + broadcast(add), min(LANES_OF, width - x));
        } else {
          for (int x = 0; x < width; ++x) out[x * int64_t(step)] = row[x] + add;
        }
      }
    }
    conv.done(item / conv.groups, channel0, first, count, (height - 1) * lineSize + width, corner + first, resultSize);
  }

  void run() {
    prepare();
    const int64_t items = int64_t(conv.n) * conv.groups;
    if (items >= 4) {
      const int64_t each = max<int64_t>(1, items / (8 * pool_threads())), tasks = (items + each - 1) / each;
      parallel(tasks, [&](int64_t task, int worker) {
        T* image = static_cast<T*>(pool_scratch(worker, size_t(paddedSize()) * sizeof(T), LOCAL));
        clear(image, paddedSize());
        for (int64_t item = task * each; item < min(items, (task + 1) * each); ++item) {
          for (int c = 0; c < channels; ++c) fill(image, item, c);
          for (int s = 0; s < sweepCount; ++s)
            for (int64_t block = 0; block < blocks(sweeps[s]); ++block) compute(image, item, sweeps[s], block);
        }
      });
      return;
    }
    T* image = static_cast<T*>(pool_scratch(0, size_t(paddedSize()) * sizeof(T), EXTRA));
    clear(image, paddedSize());
    for (int64_t item = 0; item < items; ++item) {
      parallel(channels, [&](int64_t c, int) { fill(image, item, int(c)); });
      for (int s = 0; s < sweepCount; ++s)
        parallel(blocks(sweeps[s]), [&](int64_t block, int) { compute(image, item, sweeps[s], block); });
    }
  }
};

}  // namespace chainrule::VARIANT
