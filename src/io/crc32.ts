const table: Uint32Array = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});

/** The checksum of gzip and PNG (CRC-32, IEEE 802.3) over several parts. */
export function crc32(chunks: Iterable<Uint8Array>): number {
  let c = 0xffffffff;
  for (const chunk of chunks) {
    for (let i = 0; i < chunk.length; i++) c = (table[(c ^ (chunk[i] as number)) & 0xff] as number) ^ (c >>> 8);
  }
  return (c ^ 0xffffffff) >>> 0;
}
