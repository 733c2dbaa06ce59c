// What console.log and JSON show of tensors, models and optimizers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Linear, LSTM, ReLU, Sequential } from '../../dist/entries/nn.js';
import { Adam } from '../../dist/entries/optim.js';
import { randn, tensor } from '../../dist/index.js';

test('models print as their layers, optimizers as the options of their groups', () => {
  const model = new Sequential(new Linear(2, 3), new ReLU());
  assert.equal(inspect(model), 'Sequential(\n  (0): Linear(inFeatures=2, outFeatures=3, bias=true)\n  (1): ReLU()\n)');
  const lines = inspect(new Adam(model.parameters(), { lr: 0.01 })).split('\n');
  assert.deepEqual(lines.slice(0, 4), ['Adam (', 'Parameter Group 0: 2 tensors', '    lr: 0.01', '    betas: [0.9, 0.999]']);
});

test('tensors are nested lists in JSON', () => {
  assert.equal(JSON.stringify({ loss: tensor(2), rows: tensor([[1, 2]]) }), '{"loss":2,"rows":[[1,2]]}');
});

test('a recurrent layer says what input it takes', () => {
  assert.throws(() => new LSTM(3, 4).forward(randn([2, 5, 7])), /^LibError: LSTM: the input must be \(…, 3\), got shape \(2, 5, 7\)\./);
});
