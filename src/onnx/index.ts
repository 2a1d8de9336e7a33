// The file format, for those who use it.

export {
  type DecodeOptions,
  dataFilesOf,
  decodeModel,
  decodeTensor,
  readModel,
} from './read-model.ts';
export {
  encodeModel,
  type WriteOptions,
  type WriteSummary,
  writeModel,
  writeModelTo,
} from './write-file.ts';
