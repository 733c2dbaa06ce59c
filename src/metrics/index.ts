// The entry `chainrule/metrics`: how good outputs are, as plain functions and as metrics for fit() and evaluate().

export {
  type Box,
  type BoxPrecisionOptions,
  boxAveragePrecision,
  boxIou,
  type Detections,
  nonMaximumSuppression,
  type TrueBoxes,
} from './boxes.js';
export {
  bitsPerToken,
  type CalibrationBin,
  type CalibrationOptions,
  calibrationBins,
  expectedCalibrationError,
  meanConfidence,
  negativeLogLikelihood,
  perplexity,
  predictiveEntropy,
  type TokenOptions,
} from './calibration.js';
export {
  type AccuracyOptions,
  accuracy,
  type CountOptions,
  confusionMatrix,
  type TopKOptions,
  topK,
  topKAccuracy,
} from './classification.js';
export { type AverageOptions, balancedAccuracy, type ClassReport, classReport, dice, f1, iou, precision, recall } from './counts.js';
export { type AlignmentOptions, alignment, type RecallAtOptions, recallAtK, uniformity } from './embedding.js';
export { type BothSides, generalizationGap } from './gap.js';
export { type Measured, type Metric, type MetricForms, runningMean, type ScoreOptions, type Values } from './metric.js';
export {
  averagePrecision,
  type CurvePoint,
  prAuc,
  type RankOptions,
  rankCurve,
  rocAuc,
  type ThresholdCounts,
  type ThresholdOptions,
  tuneThreshold,
  verificationAccuracy,
} from './ranking.js';
export {
  meanAbsoluteError,
  meanSquaredError,
  medianAbsoluteError,
  type OrdinalOptions,
  ordinalError,
  r2Score,
  rankViolations,
  rootMeanSquaredError,
} from './regression.js';
export { characterErrorRate, editDistance, type Sequence, tokenErrorRate, wordErrorRate } from './sequence.js';
