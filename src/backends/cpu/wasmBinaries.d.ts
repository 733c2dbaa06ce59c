// The engine's WASM builds, as scripts/build/wasm.mjs writes them to dist/wasm.
declare module '#wasm/simd' {
  const base64: string;
  export default base64;
  export const format: string;
}
declare module '#wasm/simdThreads' {
  const base64: string;
  export default base64;
  export const format: string;
}
declare module '#wasm/relaxed' {
  const base64: string;
  export default base64;
  export const format: string;
}
declare module '#wasm/relaxedThreads' {
  const base64: string;
  export default base64;
  export const format: string;
}
