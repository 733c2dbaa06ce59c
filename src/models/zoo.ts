import { denoisingTiny, stackedTiny } from './autoencoder.js';
import { bertPreNormTiny, bertTiny } from './bert.js';
import { cnn1dTiny, cnn2dTiny, dilatedCnnTiny } from './cnn.js';
import { ewcTiny, loraPerTaskTiny, replayTiny } from './continual.js';
import { ctcConvTiny, ctcTiny } from './ctcRecognizer.js';
import { densenetTiny } from './densenet.js';
import { detectorTiny } from './detector.js';
import { diffusionTiny, diffusionUNetTiny } from './diffusion.js';
import { efficientnetTiny } from './efficientnet.js';
import { energyClassTiny, energyCurveTiny } from './energyModel.js';
import { ganImagesTiny, ganLineTiny, ganTiny } from './gan.js';
import { inceptionTiny } from './googlenet.js';
import { gptTiny } from './gpt.js';
import { gatedTiny, postNormTiny, vanillaTiny } from './languageFamily.js';
import { linearTiny, logisticTiny, maxMarginTiny, multinomialTiny, perceptronTiny } from './linearModels.js';
import { llamaTiny, mistralTiny } from './llama.js';
import { firstOrderMamlTiny, mamlTiny } from './maml.js';
import { maxoutTiny } from './maxoutNetwork.js';
import { mcClassifierTiny, mcRegressorTiny } from './mcDropout.js';
import { mlpDeepTiny, mlpTiny } from './mlp.js';
import { moeTiny } from './moe.js';
import { coralTiny, cumulativeLinkTiny } from './ordinal.js';
import { randomFeaturesTiny } from './randomFeatures.js';
import { bidirectionalTiny, gruTiny, lstmTiny, rnnTiny, truncatedTiny } from './recurrentModels.js';
import { preActivationTiny, resnetTiny } from './resnetCifar.js';
import { segmentationBceTiny, segmentationBothTiny, segmentationDiceTiny } from './segmentation.js';
import { selfNormalizingTiny } from './selfNormalizing.js';
import { siameseTiny, tripletTiny } from './siamese.js';
import { simclrTiny } from './simclr.js';
import { adaptiveStyleTiny, styledPictureTiny, styleGeneratorTiny } from './style.js';
import type { TinyTask } from './task.js';
import { loraTiny, transferTiny } from './transfer.js';
import { translatorTiny } from './translator.js';
import { unetTiny } from './unet.js';
import { vaeSoftplusTiny, vaeTiny } from './vae.js';
import { vitTiny } from './vit.js';

/** Every architecture at its tiny size, with the task that it learns. */
export const tinyTasks: readonly TinyTask[] = [
  ...[perceptronTiny, linearTiny, logisticTiny, multinomialTiny, maxMarginTiny],
  ...[mlpTiny, mlpDeepTiny],
  ...[selfNormalizingTiny],
  ...[maxoutTiny],
  ...[cnn1dTiny, dilatedCnnTiny, cnn2dTiny],
  ...[resnetTiny, preActivationTiny],
  ...[densenetTiny],
  ...[inceptionTiny],
  ...[efficientnetTiny],
  ...[denoisingTiny, stackedTiny],
  ...[vaeTiny, vaeSoftplusTiny],
  ...[ganTiny, ganLineTiny, ganImagesTiny],
  ...[unetTiny],
  ...[diffusionTiny, diffusionUNetTiny],
  ...[lstmTiny, gruTiny, rnnTiny, bidirectionalTiny, truncatedTiny],
  ...[bertTiny, bertPreNormTiny],
  ...[gptTiny],
  ...[llamaTiny, mistralTiny],
  ...[translatorTiny],
  ...[vitTiny],
  ...[moeTiny],
  ...[siameseTiny, tripletTiny],
  ...[simclrTiny],
  ...[detectorTiny],
  ...[segmentationBceTiny, segmentationDiceTiny, segmentationBothTiny],
  ...[ctcTiny, ctcConvTiny],
  ...[coralTiny, cumulativeLinkTiny],
  ...[energyClassTiny, energyCurveTiny],
  ...[styledPictureTiny, styleGeneratorTiny, adaptiveStyleTiny],
  ...[transferTiny, loraTiny],
  ...[replayTiny, ewcTiny, loraPerTaskTiny],
  ...[mcRegressorTiny, mcClassifierTiny],
  ...[randomFeaturesTiny],
  ...[mamlTiny, firstOrderMamlTiny],
  ...[vanillaTiny, gatedTiny, postNormTiny],
];
