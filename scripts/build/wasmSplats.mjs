// Constants of vectors whose lanes are all the same take 18 bytes in WASM; a number and a splat of it take 4 to 12, and engines make
// them as quickly. Compilers and optimizers fold them, so this is the last pass.

const CODE = 10;

/** The module with every v128.const of equal lanes written as a splat. */
export function splatConstants(binary) {
  const read = new Cursor(binary);
  read.at = 8;
  const parts = [binary.subarray(0, 8)];
  while (read.at < binary.length) {
    const start = read.at;
    const id = read.byte();
    const size = read.leb();
    const body = binary.subarray(read.at, read.at + size);
    read.at += size;
    if (id === CODE) parts.push(Uint8Array.of(id), ...withLength(codeSection(body)));
    else parts.push(binary.subarray(start, read.at));
  }
  return concat(parts);
}

function codeSection(bytes) {
  const read = new Cursor(bytes);
  const count = read.leb();
  const parts = [lebOf(count)];
  for (let i = 0; i < count; i++) {
    const size = read.leb();
    parts.push(...withLength(body(bytes.subarray(read.at, read.at + size))));
    read.at += size;
  }
  return concat(parts);
}

function body(bytes) {
  const read = new Cursor(bytes);
  for (let groups = read.leb(); groups > 0; groups--) {
    read.leb();
    read.byte();
  }
  const parts = [];
  let done = 0;
  while (read.at < bytes.length) {
    const start = read.at;
    const value = instruction(read);
    const shorter = value && splat(value);
    if (!shorter) continue;
    parts.push(bytes.subarray(done, start), shorter);
    done = read.at;
  }
  parts.push(bytes.subarray(done));
  return concat(parts);
}

const I32_CONST = 0x41;
const I64_CONST = 0x42;
const F32_CONST = 0x43;
const F64_CONST = 0x44;
const SIMD = 0xfd;
const [I32X4_SPLAT, I64X2_SPLAT, F32X4_SPLAT, F64X2_SPLAT] = [0x11, 0x12, 0x13, 0x14];

/** The same vector in fewer bytes, where there is a way. */
function splat(value) {
  const [a, b, c, d] = [0, 4, 8, 12].map((at) => value.readInt32LE(at));
  if (a !== c || b !== d) return undefined;
  if (a === b) {
    const integer = signedLeb(BigInt(a));
    return integer.length > 4 && !isNaN32(a)
      ? Uint8Array.of(F32_CONST, ...value.subarray(0, 4), SIMD, F32X4_SPLAT)
      : Uint8Array.of(I32_CONST, ...integer, SIMD, I32X4_SPLAT);
  }
  const integer = signedLeb(value.readBigInt64LE(0));
  return integer.length > 8 && !Number.isNaN(value.readDoubleLE(0))
    ? Uint8Array.of(F64_CONST, ...value.subarray(0, 8), SIMD, F64X2_SPLAT)
    : Uint8Array.of(I64_CONST, ...integer, SIMD, I64X2_SPLAT);
}

/** A NaN's payload need not survive as a number. */
const isNaN32 = (bits) => (bits & 0x7fffffff) > 0x7f800000;

/** Steps over an instruction; returns the 16 bytes of a v128.const. */
function instruction(read) {
  const op = read.byte();
  if (op === SIMD) return simd(read);
  if (op === 0xfc) bulk(read);
  else if (op === 0xfe) read.leb() === 3 ? read.byte() : read.memory();
  else if (op >= 0x28 && op <= 0x3e) read.memory();
  else plain(read, op);
  return undefined;
}

function plain(read, op) {
  if (op === 0x43) read.at += 4;
  else if (op === 0x44) read.at += 8;
  else if (op === 0x0e || op === 0x1c) {
    for (let i = read.leb() + (op === 0x0e ? 1 : 0); i > 0; i--) read.leb(); // br_table has one more; select has types
  } else if (op === 0x11 || op === 0x13) {
    read.leb();
    read.leb();
  } else if (withNumber.has(op)) read.leb();
}

/** Blocks, branches, calls, variables, tables, memory size, integers, references: one number follows, signed or not. */
const withNumber = new Set([
  0x02, 0x03, 0x04, 0x0c, 0x0d, 0x10, 0x12, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x3f, 0x40, 0x41, 0x42, 0xd0, 0xd2,
]);

function bulk(read) {
  const op = read.leb();
  const numbers = op < 8 ? 0 : [2, 1, 2, 1, 2, 1, 2, 1, 1, 1][op - 8];
  for (let i = 0; i < numbers; i++) read.leb();
}

function simd(read) {
  const op = read.leb();
  if (op === 12) {
    read.at += 16;
    return Buffer.from(read.bytes.buffer, read.bytes.byteOffset + read.at - 16, 16);
  }
  if (op === 13) read.at += 16;
  else if (op < 12 || (op >= 84 && op <= 93)) read.memory();
  if ((op >= 21 && op <= 34) || (op >= 84 && op <= 91)) read.byte();
  return undefined;
}

class Cursor {
  at = 0;
  constructor(bytes) {
    this.bytes = bytes;
  }
  byte() {
    return this.bytes[this.at++];
  }
  /** A number of variable length; meaningful where it is below 2^32 and not signed. */
  leb() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }
  /** Alignment and offset of a load or store. */
  memory() {
    this.leb();
    this.leb();
  }
}

const withLength = (bytes) => [lebOf(bytes.length), bytes];

function lebOf(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.of(...bytes, rest);
    bytes.push((rest % 128) + 128);
  }
}

function signedLeb(value) {
  const bytes = [];
  for (let rest = value; ; rest >>= 7n) {
    const low = Number(rest & 127n);
    if (rest >= -64n && rest < 64n) return [...bytes, low];
    bytes.push(low + 128);
  }
}

const concat = (parts) => new Uint8Array(Buffer.concat(parts));
