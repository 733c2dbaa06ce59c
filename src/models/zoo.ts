import { cnn1dTiny, cnn2dTiny, dilatedCnnTiny } from './cnn.js';
import { densenetTiny } from './densenet.js';
import { efficientnetTiny } from './efficientnet.js';
import { inceptionTiny } from './googlenet.js';
import { linearTiny, logisticTiny, maxMarginTiny, multinomialTiny, perceptronTiny } from './linearModels.js';
import { maxoutTiny } from './maxoutNetwork.js';
import { mlpDeepTiny, mlpTiny } from './mlp.js';
import { preActivationTiny, resnetTiny } from './resnetCifar.js';
import { selfNormalizingTiny } from './selfNormalizing.js';
import type { TinyTask } from './task.js';

/** Every architecture at its tiny size, with the task that it learns. */
export const tinyTasks: readonly TinyTask[] = [
  ...[perceptronTiny, linearTiny, logisticTiny, multinomialTiny, maxMarginTiny, mlpTiny, mlpDeepTiny, selfNormalizingTiny, maxoutTiny],
  ...[cnn1dTiny, dilatedCnnTiny, cnn2dTiny, resnetTiny, preActivationTiny, densenetTiny, inceptionTiny, efficientnetTiny],
];
