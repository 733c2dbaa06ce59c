// The engine's WASM builds, as scripts/build/wasm.mjs writes them to dist/wasm.
declare module '*/wasm/simd.js' {
  const base64: string;
  export default base64;
}
declare module '*/wasm/simdThreads.js' {
  const base64: string;
  export default base64;
}
declare module '*/wasm/relaxed.js' {
  const base64: string;
  export default base64;
}
declare module '*/wasm/relaxedThreads.js' {
  const base64: string;
  export default base64;
}
