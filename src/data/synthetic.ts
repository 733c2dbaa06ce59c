/** The synthetic tasks: small generators with seeds, nothing to download. */
export type { SyntheticOptions } from './draws.js';
export {
  type DigitsOptions,
  digitPrototypes,
  prototypeDigits,
  type Shapes,
  type ShapesOptions,
  shapes,
  shiftedPatterns,
  type Triplets,
  tripletIdentities,
} from './syntheticImages.js';
export {
  addingSequences,
  type CtcStrings,
  copySequences,
  ctcStrings,
  recallSequences,
  reverseSequences,
  type TextCorpus,
  textWindows,
  tinyText,
} from './syntheticSequences.js';
export {
  type BlobsOptions,
  bagOfWords,
  blobs,
  type DensityName,
  density2d,
  fewShotSines,
  fraudTable,
  gaussianMixture,
  type Labelled,
  type LinearOutliers,
  linearWithOutliers,
  moons,
  ordinalAges,
  type SineTask,
  sawtooth,
  sines,
  spirals,
  xor,
} from './syntheticTables.js';
