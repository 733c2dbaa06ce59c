import * as fft from './fft.js';
import * as functions from './functions.js';
import * as linalg from './linalg.js';
import * as masked from './masked.js';
import * as special from './special.js';
import * as windows from './windows.js';

/** Every op that is public, beside the methods: those whose calls are held to their signatures. */
export const tables: readonly Readonly<Record<string, unknown>>[] = [functions, linalg, special, masked, windows, fft];
