// What a page loads that trains a small network with fit(): the rest of the library stays outside its bundle.
import { crossEntropy, randn, tensor } from 'chainrule';
import { TensorDataset } from 'chainrule/data';
import { BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential } from 'chainrule/nn';
import { AdamW } from 'chainrule/optim';
import { accuracy, fit } from 'chainrule/train';

const features = [new Conv2d(1, 8, 3, { padding: 1 }), new BatchNorm2d(8), new ReLU(), new MaxPool2d(2)];
const model = new Sequential(...features, new Flatten(), new Linear(8 * 196, 10));
const train = new TensorDataset(randn([64, 1, 28, 28]), tensor(new Int32Array(64)));
export const result = await fit({ model, train, loss: crossEntropy, optimizer: new AdamW(model.parameters()), metrics: [accuracy()] });
