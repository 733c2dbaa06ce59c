// The command line as people run it: a child process, its output, its exit code and what it leaves on the disk.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadSafetensors } from '../../dist/io/index.js';
import { loadRun, readEvents } from '../../dist/train/index.js';
import '../../dist/index.js';

const folder = mkdtempSync(join(tmpdir(), 'chainrule-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const bin = fileURLToPath(new URL('../../bin/chainrule.js', import.meta.url));

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `chainrule` in the scratch folder. `interruptAt`: sends Ctrl-C as soon as the output holds this. */
function chainrule(args: readonly string[], interruptAt?: RegExp): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const env: NodeJS.ProcessEnv = { ...process.env, CHAINRULE_BACKEND: process.env.CHAINRULE_BACKEND ?? 'reference', NO_COLOR: '1' };
    const child = spawn(process.execPath, [bin, ...args], { cwd: folder, env });
    let out = '';
    let err = '';
    let sent = false;
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString();
      if (interruptAt?.test(out) && !sent) {
        sent = true;
        child.kill('SIGINT');
      }
    });
    child.stderr.on('data', (data: Buffer) => (err += data.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const write = (name: string, source: string): string => {
  writeFileSync(join(folder, name), source);
  return name;
};

/** A TypeScript file outside of any project: `chainrule` must be the package that runs it. */
const source = (more = ''): string => `
import { crossEntropy, type Tensor, tensor } from 'chainrule';
import { TensorDataset } from 'chainrule/data';
import { Linear, Module } from 'chainrule/nn';
import { AdamW } from 'chainrule/optim';
import { accuracy, confusionMatrix, experiment } from 'chainrule/train';

interface Settings { readonly width: number }
class Net extends Module {
  readonly hidden: Linear;
  readonly output: Linear;
  constructor({ width }: Settings) {
    super();
    this.hidden = new Linear(2, width);
    this.output = new Linear(width, 2);
  }
  override forward(x: Tensor): Tensor {
    return this.output.forward(this.hidden.forward(x).tanh());
  }
}
const x: number[][] = [];
const y: number[] = [];
for (let i = 0; i < 40; i++) {
  x.push([Math.sin(i), Math.cos(3 * i)]);
  y.push(Math.sin(i) * Math.cos(3 * i) > 0 ? 1 : 0);
}
const data = new TensorDataset(tensor(x), tensor(Int32Array.from(y)));

export default experiment({
  model: { type: Net, width: 8 },
  data: () => ({ train: data, validation: data, test: data }),
  loss: crossEntropy,
  optimizer: { type: AdamW, lr: 0.02, weightDecay: 0.01 },
  metrics: [accuracy(), confusionMatrix()],
  epochs: 3,
  batchSize: 8,
  ${more}
});
`;
const file = write('small.ts', source());

describe('train', () => {
  test('trains a TypeScript file, reports, and goes on where it stopped', async () => {
    const { code, out, err } = await chainrule(['train', file, '--name', 'first', '--set', 'optimizer.lr=0.05', '--seed', '4']);
    assert.equal(code, 0, err);
    assert.match(out, /^engine: \w+/);
    assert.match(out, /epoch 3\/3 {2}validation {2}loss [\d.]+ {2}accuracy [\d.]+ %/);
    assert.match(out, /confusion matrix[\s\S]*test accuracy [\d.]+ % {2}loss/);
    assert.match(out, /saved in runs\/first: best\.safetensors, last\.safetensors, events\.jsonl/);
    assert.ok(!out.includes('\x1b'), 'no escape codes outside of a terminal');
    const config = JSON.parse(readFileSync(join(folder, 'runs/first/config.json'), 'utf8'));
    assert.deepEqual(
      [config.seed, config.optimizer, config.model],
      [4, { lr: 0.05, weightDecay: 0.01, type: 'AdamW' }, { width: 8, type: 'Net' }],
    );
    assert.deepEqual((await readEvents(join(folder, 'runs/first'))).map((e) => e.type).slice(-2), ['end', 'test']);

    const command = /go on with: npx chainrule (.*)/.exec(out)?.[1] ?? '';
    assert.match(command, /^train small\.ts --resume runs\/first --epochs 6$/);
    const more = await chainrule(command.split(' '));
    assert.equal(more.code, 0, more.err);
    assert.match(more.out, /resumed at step 15 of epoch 4[\s\S]*epoch 6\/6/);
    assert.equal((await readEvents(join(folder, 'runs/first'))).filter((e) => e.type === 'epoch').length, 6);
  });

  test('two runs of a seed give the same weights', async () => {
    for (const name of ['a', 'b'])
      assert.equal((await chainrule(['train', file, '--name', name, '--quiet', '--seed', '2', '--epochs', '1'])).code, 0);
    const [a, b] = await Promise.all(['a', 'b'].map((n) => loadSafetensors(join(folder, 'runs', n as string, 'best.safetensors'))));
    for (const [name, t] of a as ReadonlyMap<string, { tolist(): unknown }>) assert.deepEqual(b?.get(name)?.tolist(), t.tolist());
  });

  test('Ctrl-C finishes the step, saves, and exits with 130; the run can go on', async (t) => {
    if (process.platform === 'win32') return t.skip('no signals here');
    const { code, out } = await chainrule(['train', file, '--name', 'stopped', '--epochs', '100000'], /epoch 1\/100000 {2}validation/);
    assert.equal(code, 130);
    assert.match(out, /interrupted: finishing this step and saving[\s\S]*interrupted after \d+ epochs?, [\d,]+ steps/);
    assert.match(out, /go on with: npx chainrule train small\.ts --resume runs\/stopped\n/);
    const { state } = await loadRun(join(folder, 'runs/stopped'));
    const { progress } = state as { progress: { epoch: number; step: number } };
    assert.ok(progress.step > 0);
    assert.deepEqual(
      readdirSync(join(folder, 'runs/stopped')).filter((f) => f.endsWith('.tmp')),
      [],
    );
    const more = await chainrule(['train', file, '--resume', 'runs/stopped', '--epochs', `${progress.epoch + 1}`]);
    assert.equal(more.code, 0, more.err);
    assert.match(more.out, new RegExp(`resumed at step ${progress.step} of epoch ${progress.epoch + 1}`));
  });
});

describe('mistakes', () => {
  const used: [args: string[], phrase: RegExp][] = [
    [['trian', 'x.ts'], /unknown command 'trian'\n\(Did you mean train\?\)/],
    [['train', file, '--epoch', '3'], /unknown option '--epoch'\n\(Did you mean --epochs\?\)/],
    [['train', file, '--epochs', 'many'], /'many' is invalid\. It must be an integer >= 1/],
    [['train', file, '--engine', 'nativ'], /Allowed choices are native, wasm, reference/],
    [['train', file, '--set', 'lr'], /It must be key=value/],
    [['train'], /missing required argument 'file'/],
  ];
  for (const [args, phrase] of used) {
    test(`usage: ${args.join(' ')}`, async () => {
      const { code, err } = await chainrule(args);
      assert.match(err, phrase);
      assert.equal(code, 2);
    });
  }

  const noDefault = write('noDefault.ts', 'export const x: number = 1;');
  const badKey = write('badKey.ts', source('epoch: 3,'));
  const throwing = write('throwing.ts', 'const list: number[] | null = null;\n(list as unknown as number[]).push(1);');
  const syntax = write('syntax.ts', 'export default { a: ;');
  const emptyData = write('empty.ts', source().replace('train: data,', 'train: { length: 0, get: () => 0 },'));
  const failing: [args: string[], phrase: RegExp][] = [
    [['train', 'missing.ts'], /^error: train: the experiment file must exist, got missing\.ts\.$/m],
    [['train', '.'], /must be a file, got the folder \./],
    [['train', noDefault], /must export an experiment by default, got exports x\.\n {2}Hint: export default experiment/],
    [['train', badKey], /got 'epoch'\.\n {2}Hint: did you mean 'epochs'\?/],
    [['train', throwing], /TypeError: .*null[\s\S]*at throwing\.ts:2:/],
    [['train', syntax], /syntax\.ts/],
    [['train', emptyData], /DataLoader: the dataset must have items, got an empty one/],
    [['train', file, '--set', 'optimizer.learningrate=1'], /got 'optimizer\.learningrate'/],
    [['train', file, '--set', 'optimiser.lr=1'], /got 'optimiser\.lr'\.\n {2}Hint: did you mean 'optimizer\.lr'\?/],
    [['train', file, '--set', 'optimizer.lr=fast'], /optimizer\.lr must be a number, got "fast"/],
    [['train', file, '--set', 'optimizer.lr=-1'], /lr must be a finite number >= 0, got -1/],
    [['train', file, '--resume', 'runs/none'], /must be the folder of a run with a checkpoint, got no such folder/],
    [['train', file, '--out', file], /the run folder can be made, got small\.ts/],
  ];
  const fails = async (args: readonly string[], phrase: RegExp): Promise<void> => {
    const { code, err } = await chainrule(args);
    assert.match(err, phrase);
    assert.equal(code, 1);
    assert.doesNotMatch(err, /\n\s+at .*\n\s+at /, 'no stack trace');
  };
  for (const [args, phrase] of failing) test(args.join(' '), () => fails(args, phrase));

  const inside: [where: string, from: string, to: string, phrase: RegExp][] = [
    [
      'the model',
      'new Linear(2, width)',
      'new Linear(2, width, { bais: true } as object)',
      /Linear: .*got 'bais'\.\n {2}Hint: did you mean 'bias'\?/,
    ],
    ['the optimizer', 'weightDecay', 'weigthDecay', /AdamW: .*got 'weigthDecay'\.\n {2}Hint: did you mean 'weightDecay'\?/],
  ];
  for (const [where, from, to, phrase] of inside) {
    test(`an unknown option in ${where}`, () => fails(['train', write(`in${where.slice(4)}.ts`, source().replace(from, to))], phrase));
  }

  test('a run that is damaged, or cannot be written', async (t) => {
    const { code, err } = await chainrule(['train', file, '--name', 'whole', '--quiet', '--epochs', '1']);
    assert.equal(code, 0, err);
    const damaged = (what: string, damage: (folder: string) => void): string => {
      cpSync(join(folder, 'runs/whole'), join(folder, 'runs', what), { recursive: true });
      damage(join(folder, 'runs', what));
      return `runs/${what}`;
    };
    const go = (run: string, phrase: RegExp): Promise<void> => fails(['train', file, '--resume', run, '--epochs', '2'], phrase);
    await go(
      damaged('cut', (run) => truncateSync(join(run, 'last.safetensors'), 50)),
      /last\.safetensors: .* truncated at byte 50\./,
    );
    await go(
      damaged('config', (run) => writeFileSync(join(run, 'config.json'), '{')),
      /loadRun: .*config\.json must be JSON, got /,
    );
    await go(
      damaged('without', (run) => rmSync(join(run, 'last.safetensors'))),
      /got a folder without last\.safetensors/,
    );
    if (process.platform === 'linux')
      await fails(['train', file, '--out', '/proc/nowhere'], /got \/proc\/nowhere.*: no such file or folder/);
    if (process.getuid?.() === 0) return t.diagnostic('nothing is read-only for root');
    const run = damaged('locked', (path) => chmodSync(path, 0o555));
    await go(run, /permission denied/);
    chmodSync(join(folder, run), 0o755);
  });

  test('--debug prints the stack', async () => {
    const { err } = await chainrule(['train', 'missing.ts', '--debug']);
    assert.match(err, /\n\s+at .*\n\s+at /);
  });
});

describe('profile', () => {
  test('prints kernels, memory and the wait for data, and writes a trace', async () => {
    const { out, code } = await chainrule(['profile', write('profiled.ts', source()), '--runs', '3', '--trace', 'trace.json']);
    assert.equal(code, 0, out);
    for (const phrase of [/^kernel +shapes +calls/m, /^linear /m, /^memory: /m, /^data: [\d.]+ ms a batch/m]) assert.match(out, phrase);
    const { traceEvents } = JSON.parse(readFileSync(join(folder, 'trace.json'), 'utf8')) as { traceEvents: { ph: string; dur?: number }[] };
    assert.ok(traceEvents.filter((e) => e.ph === 'X').length > 5);
  });
});

describe('search', () => {
  test('a line a trial, the best one, and the command that trains it; the test data are not used', async () => {
    const searched = write('searched.ts', source());
    const flags = ['--space', 'optimizer.lr=1e-7,0.05', '--space', 'model.width=4..8:int', '--set', 'epochs=2', '--monitor', 'accuracy'];
    const { out, code } = await chainrule(['search', searched, ...flags, '--trials', '4', '--seed', '2']);
    assert.equal(code, 0, out);
    assert.equal(out.match(/^trial \d {2}optimizer\.lr=[\de.-]+ {2}model\.width=[4-8] {2}accuracy [\d.]+ {2}[\d.]+ s/gm)?.length, 4, out);
    assert.match(
      out,
      /^train and test it: npx chainrule train searched\.ts --set epochs=2 --set optimizer\.lr=[\de.-]+ --set model\.width=\d$/m,
    );
    assert.doesNotMatch(out, /^test /m);
    const wrong = await chainrule(['search', searched, '--space', 'optimizer.lr=a..b']);
    assert.match(wrong.err, /a range must be of numbers/);
    assert.equal(wrong.code, 1);
    assert.equal((await chainrule(['search', searched])).code, 2);
  });
});

describe('help and info', () => {
  test('every command has help with examples', async () => {
    for (const args of [
      ['--help'],
      ['train', '--help'],
      ['info', '--help'],
      ['profile', '--help'],
      ['search', '--help'],
      ['help', 'train'],
    ]) {
      const { code, out } = await chainrule(args);
      assert.equal(code, 0, args.join(' '));
      assert.match(out, /Usage: chainrule[\s\S]*Examples:\n {2}\$ chainrule/);
    }
    const { out } = await chainrule(['train', '--help']);
    for (const option of [
      'epochs',
      'set',
      'seed',
      'engine',
      'threads',
      'batch-size',
      'out',
      'name',
      'resume',
      'no-color',
      'quiet',
      'debug',
    ]) {
      assert.ok(out.includes(`--${option}`), option);
    }
  });

  test('info prints versions, engine and memory; --version the version', async () => {
    const { out } = await chainrule(['info']);
    for (const row of [/^chainrule +\d/m, /^node +\d/m, /^engine +\w/m, /^processors +\d/m, /^memory +[\d.]+ GiB/m]) assert.match(out, row);
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    assert.equal((await chainrule(['--version'])).out.trim(), version);
  });

  test('the examples name files that exist', () =>
    assert.ok(existsSync(fileURLToPath(new URL('../../examples/mnist.ts', import.meta.url)))));
});
