// Every architecture at its tiny size learns its task: the loss on data drawn apart falls by half at least. Then what it is for works.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as data from '../../dist/entries/data.js';
import { boxIou } from '../../dist/entries/metrics.js';
import * as models from '../../dist/entries/models.js';
import type { AnyModule } from '../../dist/entries/nn.js';
import { cat, full, manualSeed, noGrad, randn, type Tensor, tensor } from '../../dist/index.js';

type Class<T> = abstract new (...args: never[]) => T;
const of = <T>(model: AnyModule, type: Class<T>): T => {
  assert.ok((model as unknown) instanceof type, `a ${model.constructor.name} is no ${type.name}`);
  return model as unknown as T;
};
const values = (t: Tensor): number[] => Array.from(t.toArray(), Number);
const share = (hits: Tensor): number => hits.to('float32').mean().itemNow();
const meanError = (a: Tensor, b: Tensor): number => a.sub(b).abs().mean().itemNow();

/** What must be true of a trained model, by the task's name. All data is drawn apart (seed 0). */
const checks: Readonly<Record<string, (model: AnyModule) => void>> = {
  'linear regression': (m) => {
    const { weight, bias } = data.linearWithOutliers({ features: 4 });
    const { linear } = of(m, models.GeneralizedLinear);
    assert.ok(meanError(linear.weight.reshape([-1]), weight) < 0.1);
    assert.ok(Math.abs((linear.bias as Tensor).itemNow() - bias) < 0.1);
  },
  'max-margin classifier': (m) => assert.ok(of(m, models.MaxMargin).margin() > 0.5),
  'self-normalizing MLP': (m) => {
    const fresh = new models.SelfNormalizing(64, 2, { depth: 20, width: 128, dropout: 0 });
    const last = fresh.activations(data.blobs({ samples: 200, features: 64, centers: 1, spread: 0 }).x).at(-1) as Tensor;
    // Twenty layers on, activations are still of about mean 0 and variance 1.
    assert.ok(Math.abs(last.mean().itemNow()) < 0.15 && Math.abs(last.var().itemNow() - 1) < 0.3);
    assert.equal(of(m, models.SelfNormalizing).layers.length, 8);
  },
  'CNN, 1-d dilated': (m) => {
    assert.equal(models.receptiveField({ widths: [8, 8, 8], dilated: true }), 15);
    assert.equal(models.receptiveField({ widths: [8, 8] }), 8);
    assert.ok(of(m, models.PlainCnn).convs.every((conv, i) => conv.weight.shape[2] === 3 && i < 3));
  },
  'stacked autoencoder, pretraining alone': (m) => assert.equal(of(m, models.Autoencoder).encode(full([1, 64], 0)).shape[1], 8),
  'VAE, exp variance': (m) => {
    const made = of(m, models.VariationalAutoencoder).sample(32);
    const distances = made
      .round()
      .cdist(data.digitPrototypes().reshape([10, 64]))
      .square()
      .min({ dim: 1 }).values;
    // Most of what is drawn from the prior looks like one of the digits: few of 64 pixels differ.
    assert.ok(values(distances).filter((d) => d <= 9).length >= 20, String(values(distances)));
  },
  'GAN, points, layer norm': (m) => {
    const points = of(m, models.Gan).sample(400);
    const modes = new Set(
      values(points).flatMap((x, i, all) => (i % 2 === 0 ? [Math.round((Math.atan2(all[i + 1] as number, x) * 4) / Math.PI + 8) % 8] : [])),
    );
    assert.ok(modes.size >= 6, `${modes.size} of 8 modes`);
  },
  'diffusion, points': (m) => {
    const made = of(m, models.Diffusion).sample([400, 2]);
    const real = data.gaussianMixture({ samples: 400, components: 4, radius: 1.5, seed: 0 }).x;
    const noise = data.gaussianMixture({ samples: 400, components: 1, radius: 0, std: 1, seed: 0 }).x;
    assert.ok(models.energyDistance(made, real) < 0.2 * models.energyDistance(noise, real));
  },
  'U-Net, diffusion of 8×8 pictures': (m) => {
    const flat = (x: Tensor): Tensor => x.reshape([64, 64]);
    const real = flat(data.prototypeDigits({ samples: 64, noise: 0.05, seed: 0 }).x.mul(2).sub(1));
    const made = flat(of(m, models.Diffusion).sample([64, 1, 8, 8], { clip: 1 }));
    assert.ok(values(made).every(Number.isFinite));
    assert.ok(models.energyDistance(made, real) < 0.7 * models.energyDistance(randn([64, 64]), real));
  },
  'RNN, recall': (m) => {
    const { x, y } = data.recallSequences({ samples: 64, length: 5, seed: 0 });
    assert.ok(share(of(m, models.SequenceModel).forward(x).argmax({ dim: -1 }).eq(y)) > 0.95);
  },
  'BERT, masked words': (m) => {
    const bert = of(m, models.MaskedLanguageModel).eval();
    const { vocabulary } = data.tinyText({ unit: 'word', sentences: 1 });
    // "the [mask] sailor": the word follows from its neighbours on both sides.
    const sentence = 'the old sailor sees the red lantern .'.split(' ').map((word) => vocabulary.indexOf(word));
    const hidden = tensor([sentence.map((id, i) => (i === 1 ? vocabulary.length : id))], { dtype: 'int32' });
    assert.equal(vocabulary[bert.forward(hidden).select(1, 1).argmax({ dim: -1 }).itemNow()], 'old');
  },
  'GPT-2': (m) => {
    const gpt = of(m, models.Gpt).eval();
    const { vocabulary, ids } = data.tinyText({ unit: 'word', sentences: 40, seed: 99 });
    const { x, y } = data.textWindows(ids, { length: 16 });
    const { nats, bits, perplexity } = models.perplexityReport(gpt, x, y);
    assert.ok(Math.abs(bits * Math.LN2 - nats) < 1e-12 && Math.abs(Math.log(perplexity) - nats) < 1e-12 && perplexity < 4);
    const start = tensor([['my', 'sister'].map((word) => vocabulary.indexOf(word))], { dtype: 'int32' });
    const said = values(models.generate(gpt, start, 20, { context: 16, temperature: 0 }))
      .map((i) => vocabulary[i])
      .join(' ');
    assert.match(said, /^my sister (sees|follows|paints|remembers|loses|mends) (a|an|the) \w+ \w+ (at|in|before|every|without|by) /);
    const drawn = models.generate(gpt, start, 3, { context: 16, topK: 1 });
    assert.deepEqual(values(drawn), values(models.generate(gpt, start, 3, { context: 16, temperature: 0 })));
  },
  'Mistral: grouped heads, sliding window': (m) => {
    // Two layers of a window of 8 see 15 tokens at most: the first of 16 cannot reach the last.
    const net = of(m, models.Llama).eval();
    const x = tensor([Array.from({ length: 16 }, (_, i) => i)], { dtype: 'int32' });
    const other = cat([x.narrow(1, 0, 1).add(20), x.narrow(1, 1, 15)], { dim: 1 });
    const [a, b] = [x, other].map((ids) => net.forward(ids)) as [Tensor, Tensor];
    assert.deepEqual(values(a.select(1, 15)), values(b.select(1, 15)));
    assert.ok(meanError(a.select(1, 7), b.select(1, 7)) > 1e-4);
  },
  'Transformer, reversing': (m) => {
    const { x, y } = data.reverseSequences({ samples: 64, length: 4, seed: 0 });
    assert.ok(share(of(m, models.Translator).greedy(x, 4).eq(y)) > 0.95);
  },
  'mixture of experts': (m) => {
    const { total, active } = of(m, models.MoETransformer).countParameters();
    assert.ok(active < total);
  },
  'triplet network': (m) => {
    const { anchor, positive, negative } = data.tripletIdentities({ samples: 200, seed: 0 });
    const net = of(m, models.Siamese);
    assert.ok(share(net.forward(anchor, positive).lt(net.forward(anchor, negative))) > 0.95);
  },
  SimCLR: (m) => {
    const flat = (seed: number): [Tensor, Tensor] => {
      const { x, y } = data.prototypeDigits({ samples: 60, noise: 0.3, seed });
      return [x.reshape([60, 64]), y];
    };
    const net = of(m, models.SimCLR);
    const score = models.linearProbe((x) => net.features(x), 10, flat(1), flat(0));
    assert.ok(score > 0.9, `${score}`);
  },
  'RetinaNet-like detector': (m) => {
    const detector = of(m, models.Detector).eval();
    const { x, objects } = data.shapes({ samples: 40, size: 16, seed: 0 });
    const found = detector.detect(x, { threshold: 0.3 });
    const hits = objects.filter(([object], i) => {
      const best = found[i]?.[0];
      return object !== undefined && best !== undefined && boxIou(best.box, object.box) > 0.5;
    });
    assert.ok(hits.length >= 34, `${hits.length} of 40`);
  },
  'segmentation, diceBce': (m) => {
    const { x, mask } = data.shapes({ samples: 32, size: 16, noise: 0.3, seed: 0 });
    assert.ok(
      models.diceScore(
        noGrad(() => of(m, models.SegmentationNet).eval().forward(x)),
        mask,
      ) > 0.9,
    );
  },
  'CTC recognizer, recurrent': (m) => {
    const { x, inputLengths, labels } = data.ctcStrings({ samples: 40, seed: 0 });
    const net = of(m, models.CtcRecognizer).eval();
    const right = (read: readonly (readonly number[])[]): number => read.filter((r, i) => r.join() === labels[i]?.join()).length;
    assert.ok(right(net.greedy(x, inputLengths)) >= 36);
    assert.ok(right(net.beam(x, inputLengths).map(([best]) => best?.labels ?? [])) >= 36);
  },
  CORAL: (m) => ordinalError(of(m, models.Coral)),
  'cumulative link': (m) => {
    const model = of(m, models.CumulativeLink);
    ordinalError(model);
    const thresholds = values(model.thresholds());
    assert.deepEqual(
      thresholds,
      [...thresholds].sort((a, b) => a - b),
    );
  },
  'energy-based classifier, margin': (m) => {
    const { x, y } = data.moons({ samples: 128, seed: 0 });
    assert.ok(
      share(
        of(m, models.EnergyModel)
          .choose(
            x,
            tensor([
              [1, 0],
              [0, 1],
            ]),
          )
          .eq(y),
      ) > 0.95,
    );
  },
  'energy-based regression': (m) => {
    const { x, y } = data.sines({ samples: 40, seed: 0 });
    assert.ok(meanError(models.inferNumber(of(m, models.EnergyModel), x), y) < 0.1);
  },
  'transfer, frozen backbone and norms': (m) => {
    const net = of(m, models.PlainCnn);
    assert.deepEqual(
      net.parameters().filter((p) => p.requiresGrad),
      net.head.parameters(),
    );
    assert.ok(net.norms.every((norm) => norm.statisticsFrozen));
  },
  LoRA: (m) =>
    assert.ok(
      of(m, models.Mlp)
        .parameters()
        .filter((p) => p.requiresGrad)
        .reduce((n, p) => n + p.size, 0) < 900,
    ),
  'continual learning, replay': () => {
    const forgetting = (method: models.ContinualMethod): number => {
      manualSeed(0);
      return models.learnInSequence(new models.Mlp(64, 10, { hidden: [64] }), models.continualTasks, method).forgetting;
    };
    const naive = forgetting('naive');
    assert.ok(naive > 0.2, `naive: ${naive}`);
    for (const method of ['replay', 'ewc', 'lora'] as const) assert.ok(forgetting(method) < naive / 2, method);
  },
  'MC dropout, regression': (m) => {
    const band = of(m, models.McRegressor).band(tensor([[0], [1], [8], [-8]]));
    const [inside0, inside1, outside0, outside1] = values(band.std) as [number, number, number, number];
    assert.ok(Math.max(inside0, inside1) < Math.min(outside0, outside1), String(values(band.std)));
    assert.ok(values(band.high.sub(band.low)).every((w) => w > 0));
  },
  'MC dropout, classification': (m) => {
    const { entropy, mutualInformation } = of(m, models.McClassifier).predict(
      tensor([
        [0, 1],
        [0.5, 0.25],
      ]),
    );
    const [sure, between] = values(entropy) as [number, number];
    assert.ok(sure < between && values(mutualInformation).every((i) => i >= -1e-6));
  },
  'random features, least norm': () => {
    const [few, peak, many] = models.doubleDescent([10, 40, 400]) as [models.DescentPoint, models.DescentPoint, models.DescentPoint];
    assert.ok(peak.testError > 3 * few.testError && peak.testError > 3 * many.testError && many.testError < few.testError);
    assert.ok(many.trainError < 1e-12 && many.norm < peak.norm);
  },
  MAML: (m) => {
    // One step on ten points of a new sine teaches a meta-learned model; a plain one stays as ignorant as it was.
    const net = of(m, models.Mlp);
    const tasks = models.sineTasks(-1, 40);
    const adapted = models.metaLoss(net, tasks).itemNow();
    const unadapted = models.metaLoss(net, tasks, { innerLr: 0 }).itemNow();
    assert.ok(adapted < 0.6 * unadapted, `${adapted} after a step, ${unadapted} before`);
  },
  'language model: relu, pre-norm': () => {
    assert.equal(models.languageFamily.length, 12);
    const rows = models.compareLanguageModels(models.languageFamily.slice(0, 2), { steps: 5 });
    assert.ok(rows.length === 2 && (rows[0] as models.FamilyRow).after <= (rows[1] as models.FamilyRow).after);
  },
};

function ordinalError(model: models.OrdinalRegressor): void {
  const { x, y } = data.ordinalAges({ samples: 200, seed: 0 });
  assert.ok(meanError(model.predict(x).to('float32'), y.to('float32')) < 0.35);
}

for (const task of models.tinyTasks) {
  test(`models: ${task.id}, ${task.name}: the loss falls by half`, () => {
    const { model, before, after } = task.run();
    assert.ok(Number.isFinite(before) && after <= before / 2, `${before} before, ${after} after`);
    manualSeed(1);
    checks[task.name]?.(model);
  });
}

test('models: each architecture of the list has a task, and each check a task of its name', () => {
  const ids = new Set(models.tinyTasks.map(({ id }) => id));
  assert.deepEqual(
    [...ids].sort(),
    Array.from({ length: 36 }, (_, i) => `ARC-${String(i + 1).padStart(2, '0')}`),
  );
  const names = models.tinyTasks.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.deepEqual(
    Object.keys(checks).filter((name) => !names.includes(name)),
    [],
  );
});

test('models: a seed gives the same training again, and the global stream is left alone', () => {
  manualSeed(7);
  const before = models.mlpTiny.run({ seed: 1 }).after;
  assert.equal(models.mlpTiny.run({ seed: 1 }).after, before);
  assert.notEqual(models.mlpTiny.run({ seed: 2 }).after, before);
});
