// Architectures at their published sizes: counted without allocating anything.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as models from '../../dist/entries/models.js';
import { type AnyModule, summary } from '../../dist/entries/nn.js';
import { dryRun } from '../../dist/index.js';

const parameters = (model: AnyModule): number => model.parameters().reduce((n, p) => n + p.size, 0);

/** Preset, builder, its parameters as published (torchvision, the papers' authors), and state names that converted weights have. */
const published: readonly (readonly [string, () => AnyModule, number, readonly string[]])[] = [
  ['ResNet-18', models.resnet18, 11_689_512, ['conv1.weight', 'layer2.0.downsample.0.weight', 'layer4.1.bn2.bias', 'fc.bias']],
  ['ResNet-34', models.resnet34, 21_797_672, ['layer3.5.conv2.weight']],
  ['ResNet-50', models.resnet50, 25_557_032, ['layer1.0.downsample.1.weight', 'layer3.5.conv3.weight', 'layer4.2.bn3.weight']],
  ['ResNet-101', models.resnet101, 44_549_160, ['layer3.22.conv1.weight']],
  ['ResNet-152', models.resnet152, 60_192_808, []],
  ['ResNet-20 (CIFAR)', models.resnet20, 269_722, ['layer3.2.conv2.weight', 'linear.weight']],
  ['ResNet-110 (CIFAR)', models.resnet110, 1_727_962, []],
  ['ResNet-1001 (CIFAR, pre-activation)', models.resnet1001, 10_327_706, []],
  ['DenseNet-121', models.densenet121, 7_978_856, ['features.denseblock4.denselayer16.conv2.weight', 'features.transition1.norm.bias']],
  ['DenseNet-169', models.densenet169, 14_149_480, []],
  ['GoogLeNet', models.googlenet, 6_624_904, ['inception4e.branch2.1.conv.weight', 'inception3a.branch4.1.bn.weight']],
  ['EfficientNet-B0', models.efficientnetB0, 5_288_548, ['features.1.0.block.1.fc1.weight', 'features.8.1.weight', 'classifier.1.bias']],
  ['EfficientNet-B1', () => models.efficientnet(1), 7_794_184, []],
  ['MobileNetV2', models.mobilenetV2, 3_504_872, ['features.1.conv.0.0.weight', 'features.18.1.bias']],
  // With one class and three channels, as of the most used PyTorch implementation.
  ['U-Net', models.unet, 31_037_633, ['inc.conv1.weight', 'merge.0.norm2.bias']],
  ['BERT base', models.bertBase, 109_482_240, ['wordEmbeddings.weight', 'pooler.bias']],
  ['BERT large', models.bertLarge, 335_141_888, []],
  ['GPT-2 small', models.gpt2Small, 124_439_808, ['token.weight', 'position.weight']],
  ['GPT-2 medium', models.gpt2Medium, 354_823_168, []],
  ['GPT-2 large', models.gpt2Large, 774_030_080, []],
  ['GPT-2 XL', models.gpt2Xl, 1_557_611_200, []],
  ['Llama 2 7B', models.llama2_7b, 6_738_415_616, []],
  ['Llama 2 13B', models.llama2_13b, 13_015_864_320, []],
  ['Llama 3 8B', models.llama3_8b, 8_030_261_248, []],
  ['Mistral 7B', models.mistral7b, 7_241_732_096, []],
  // "65 · 10⁶" in the paper: 44,138,496 in the stacks, and 37,000 shared words of 512.
  ['Transformer base', models.transformerBase, 44_138_496 + 37_000 * 512, []],
  ['ViT-B/16', models.vitB16, 86_567_656, ['patches.classToken', 'position']],
  ['ViT-B/32', models.vitB32, 88_224_232, []],
  ['ViT-L/16', models.vitL16, 304_326_632, []],
];

for (const [name, build, count, names] of published) {
  test(`models: ${name} has ${count.toLocaleString('en')} parameters`, () => {
    const { size, state } = dryRun(() => {
      const model = build();
      return { size: parameters(model), state: [...model.stateDict().keys()] };
    });
    assert.equal(size, count);
    for (const key of names) assert.ok(state.includes(key), `${key} is missing`);
  });
}

/** Multiplications of a picture of 224×224, in 10⁹, as torchvision publishes them (a multiplication and addition count two here). */
const macs: readonly (readonly [string, () => AnyModule, number])[] = [
  ['ResNet-18', models.resnet18, 1.814],
  ['ResNet-50', models.resnet50, 4.089],
  ['MobileNetV2', models.mobilenetV2, 0.301],
];
for (const [name, build, giga] of macs) {
  test(`models: ${name} multiplies ${giga} · 10⁹ times, as summary() says`, () => {
    const facts = dryRun(() => summary(build().eval(), [1, 3, 224, 224]));
    const layers = facts.rows.filter(({ type }) => type === 'Conv2d' || type === 'Linear');
    const multiplications = layers.reduce((n, { flops }) => n + flops, 0) / 2e9;
    assert.equal(multiplications.toFixed(3), giga.toFixed(3));
  });
}
