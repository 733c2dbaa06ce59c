// What metrics measure, against counts made by hand.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Tensor, tensor } from '../../dist/index.js';
import { accuracy, confusionMatrix, topK } from '../../dist/train/index.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);

describe('metrics', () => {
  const logits = tensor([
    [3, 1, 0],
    [0, 1, 2],
    [1, 0, 0],
    [0, 5, 1],
  ]);
  const classes = tensor(Int32Array.of(0, 1, 0, 1));
  const value = (metric: ReturnType<typeof accuracy>, output: Tensor, target: Tensor): number | number[][] => {
    const tally: number[] = [];
    metric.add(tally, metric.measure(output, target).toArray(), {
      examples: output.shape[0] as number,
      output: output.shape,
      target: target.shape,
    });
    return metric.value(tally);
  };

  test('accuracy of classes, soft targets and logits', () => {
    assert.equal(value(accuracy(), logits, classes), 0.75);
    assert.equal(
      value(
        accuracy(),
        logits,
        tensor([
          [1, 0, 0],
          [0, 1, 0],
          [0.4, 0.3, 0.3],
          [0, 0, 1],
        ]),
      ),
      0.5,
    );
    assert.equal(value(accuracy(), tensor([[1], [-1], [2]]), tensor([[1], [1], [1]])), 2 / 3);
    assert.throws(() => value(accuracy(), logits, tensor([1, 2])), says(/targets must be class indices/));
  });

  test('topK and the confusion matrix', () => {
    assert.equal(value(topK(2), logits, classes), 1);
    assert.equal(value(topK(1), logits, classes), 0.75);
    assert.deepEqual(value(confusionMatrix(), logits, classes), [
      [2, 0, 0],
      [0, 1, 1],
      [0, 0, 0],
    ]);
  });
});
