import { TrainingCommand, trainingArgs, trainingFlags } from '../cli/train/command.ts';

export default class Train extends TrainingCommand<typeof Train> {
  static override summary = 'Fit a model to data: train, fine-tune, pretrain';
  static override description =
    'Loss, gradients and optimiser are one ONNX graph that onnxruntime runs; what is written is the model as it ' +
    'was, with other weights. A run that was stopped goes on with --resume.';
  static override examples = [
    '<%= config.bin %> train model.onnx --data train.npz --val test.npz --epochs 5 -o trained.onnx',
    '<%= config.bin %> train model.onnx --data photos/ --split train=0.9 --optimizer sgd --lr 0.05 --ema 0.999',
    '<%= config.bin %> train model.onnx --data train.npz --head classify:5 --lora 8 --lr 1e-3',
    '<%= config.bin %> train model.onnx --data train.npz --val test.npz --qat int8 --lr 1e-4 --epochs 3',
    '<%= config.bin %> train model.onnx --data train.npz --freeze "layers.0*" --lr 1e-4 --resume',
  ];
  static override args = trainingArgs;
  static override flags = trainingFlags;
  protected readonly suffix = 'trained';
}
