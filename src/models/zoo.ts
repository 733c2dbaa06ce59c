import { denoisingTiny, stackedTiny } from './autoencoder.js';
import { bertPreNormTiny, bertTiny } from './bert.js';
import { cnn1dTiny, cnn2dTiny, dilatedCnnTiny } from './cnn.js';
import { densenetTiny } from './densenet.js';
import { diffusionTiny, diffusionUNetTiny } from './diffusion.js';
import { efficientnetTiny } from './efficientnet.js';
import { ganImagesTiny, ganLineTiny, ganTiny } from './gan.js';
import { inceptionTiny } from './googlenet.js';
import { gptTiny } from './gpt.js';
import { linearTiny, logisticTiny, maxMarginTiny, multinomialTiny, perceptronTiny } from './linearModels.js';
import { llamaTiny, mistralTiny } from './llama.js';
import { maxoutTiny } from './maxoutNetwork.js';
import { mlpDeepTiny, mlpTiny } from './mlp.js';
import { moeTiny } from './moe.js';
import { bidirectionalTiny, gruTiny, lstmTiny, rnnTiny, truncatedTiny } from './recurrentModels.js';
import { preActivationTiny, resnetTiny } from './resnetCifar.js';
import { selfNormalizingTiny } from './selfNormalizing.js';
import type { TinyTask } from './task.js';
import { translatorTiny } from './translator.js';
import { unetTiny } from './unet.js';
import { vaeSoftplusTiny, vaeTiny } from './vae.js';
import { vitTiny } from './vit.js';

/** Every architecture at its tiny size, with the task that it learns. */
export const tinyTasks: readonly TinyTask[] = [
  ...[perceptronTiny, linearTiny, logisticTiny, multinomialTiny, maxMarginTiny, mlpTiny, mlpDeepTiny, selfNormalizingTiny, maxoutTiny],
  ...[cnn1dTiny, dilatedCnnTiny, cnn2dTiny, resnetTiny, preActivationTiny, densenetTiny, inceptionTiny, efficientnetTiny],
  ...[
    denoisingTiny,
    stackedTiny,
    vaeTiny,
    vaeSoftplusTiny,
    ganTiny,
    ganLineTiny,
    ganImagesTiny,
    unetTiny,
    diffusionUNetTiny,
    diffusionTiny,
  ],
  ...[lstmTiny, gruTiny, rnnTiny, bidirectionalTiny, truncatedTiny, bertTiny, bertPreNormTiny, gptTiny, llamaTiny, mistralTiny],
  ...[translatorTiny, vitTiny, moeTiny],
];
