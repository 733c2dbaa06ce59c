// Augmentation: each sample gets its own draw, from a stream of its own, and what is drawn stays in its range.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as data from '../../dist/data/index.js';
import { arange, manualSeed, ones, rand, type Tensor, zeros } from '../../dist/index.js';

const values = (x: Tensor): number[] => [...x.toArray()];
const samples = (x: Tensor): string[] => Array.from({ length: x.sizeAt(0) }, (_, i) => `${values(x.select(0, i).contiguous())}`);
const picture = (n: number): Tensor => arange(1, 26).to('float32').reshape([1, 1, 5, 5]).expand([n, 1, 5, 5]).contiguous();

describe('augmentation', () => {
  test('flips are the picture or its mirror, as often as asked', () => {
    const x = picture(200);
    const [plain, mirror] = [samples(x)[0], samples(x.flip([3]))[0]];
    const flipped = samples(data.randomFlip(x, { p: 0.3 }));
    assert.ok(flipped.every((s) => s === plain || s === mirror));
    const share = flipped.filter((s) => s === mirror).length / 200;
    assert.ok(share > 0.15 && share < 0.45, `${share}`);
    assert.equal(samples(data.randomFlip(x, { p: 1, direction: 'vertical' }))[0], samples(x.flip([2]))[0]);
  });

  test('crops are moves by whole pixels, each way, with zeros behind', () => {
    const seen = new Set<string>();
    const inside = zeros([400, 1, 5, 5]);
    inside.narrow(2, 2, 1).narrow(3, 2, 1).fill_(7);
    for (const [i, s] of samples(data.randomCrop(inside, { padding: 2 })).entries()) {
      const list = s.split(',').map(Number);
      assert.equal(
        list.reduce((a, b) => a + b, 0),
        7,
        `sample ${i}: ${s}`,
      );
      seen.add(`${list.indexOf(7)}`);
    }
    assert.equal(seen.size, 25);
  });

  test('rotations keep the middle, and turning a picture by its range changes it', () => {
    const x = picture(50);
    const turned = data.randomRotation(x, { degrees: 90 });
    for (const v of values(turned.select(3, 2).select(2, 2))) assert.ok(Math.abs(v - 13) < 1e-4, `${v}`);
    assert.ok(new Set(samples(turned)).size > 40);
    assert.deepEqual(values(data.randomRotation(x, { degrees: 0 })), values(x));
  });

  test('cutout and masks blank as much as they say, somewhere else each time', () => {
    const cut = data.cutout(ones([60, 2, 8, 8]), { size: 3 });
    assert.ok(values(cut.sum({ dim: [1, 2, 3] })).every((v) => v === 2 * (64 - 9)));
    assert.ok(new Set(samples(cut)).size > 15);
    const spectrogram = ones([60, 6, 10]);
    assert.ok(values(data.timeMask(spectrogram, { width: 4 }).sum({ dim: [1, 2] })).every((v) => v === 36));
    assert.ok(values(data.frequencyMask(spectrogram, { width: 2 }).sum({ dim: [1, 2] })).every((v) => v === 40));
  });

  test('colour jitter scales brightness and contrast within its range', () => {
    const x = rand([100, 3, 4, 4]).add(1);
    const mean = (t: Tensor): number[] => values(t.mean({ dim: [1, 2, 3] }));
    const before = mean(x);
    const ratios = mean(data.colorJitter(x, { brightness: 0.3, contrast: 0 })).map((v, i) => v / (before[i] as number));
    assert.ok(Math.min(...ratios) > 0.699 && Math.max(...ratios) < 1.301 && Math.max(...ratios) - Math.min(...ratios) > 0.3);
  });

  test('sequences move in time, and tokens are dropped', () => {
    const x = arange(1, 7).to('float32').unsqueeze(0).expand([80, 6]).contiguous();
    const wanted = new Set([-1, 0, 1].map((s) => `${Array.from({ length: 6 }, (_, i) => (i - s >= 0 && i - s < 6 ? i - s + 1 : 0))}`));
    assert.deepEqual(new Set(samples(data.timeShift(x, { max: 1 }))), wanted);
    const ids = ones([50, 40], { dtype: 'int32' });
    const dropped = values(data.tokenDrop(ids, { p: 0.25, value: 9 }));
    const share = dropped.filter((v) => v === 9).length / 2000;
    assert.ok(share > 0.2 && share < 0.3 && dropped.every((v) => v === 1 || v === 9));
  });

  test('a seed gives the same again, without moving other streams', () => {
    const run = (augment: boolean): readonly [string, number] => {
      manualSeed(3);
      const first = augment ? `${values(data.randomCrop(picture(4)))}` : '';
      return [first, rand([1]).itemNow()];
    };
    assert.deepEqual(run(true), run(true));
    assert.equal(run(true)[1], run(false)[1]);
  });

  test('errors', () => {
    assert.throws(() => data.randomFlip(ones([2, 3])), /must be \(batch, channels, height, width\), got shape \(2, 3\)/);
    assert.throws(() => data.cutout(ones([1, 1, 4, 4]), { size: 5 }), /size must be in \[0, 4\], got 5/);
    assert.throws(() => data.tokenDrop(ones([2, 2]), { p: 2 }), /p must be in \[0, 1\], got 2/);
  });
});
