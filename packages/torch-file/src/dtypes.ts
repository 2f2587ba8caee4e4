import { type TorchDtype } from './torch-file';

type ElementType = { readonly bytes: number; readonly dtype?: TorchDtype };

/** PyTorch's element types: how many bytes one takes, and its name here if it is read. */
const ELEMENT_TYPES = new Map<string, ElementType>([
  ['float64', { bytes: 8, dtype: 'F64' }],
  ['float32', { bytes: 4, dtype: 'F32' }],
  ['float16', { bytes: 2, dtype: 'F16' }],
  ['bfloat16', { bytes: 2, dtype: 'BF16' }],
  ['int64', { bytes: 8, dtype: 'I64' }],
  ['int32', { bytes: 4, dtype: 'I32' }],
  ['int16', { bytes: 2, dtype: 'I16' }],
  ['int8', { bytes: 1, dtype: 'I8' }],
  ['uint8', { bytes: 1, dtype: 'U8' }],
  ['bool', { bytes: 1, dtype: 'BOOL' }],
  ['bytes', { bytes: 1 }], // a storage without a type
  ['complex64', { bytes: 8 }],
  ['complex128', { bytes: 16 }],
  ['qint8', { bytes: 1 }],
  ['quint8', { bytes: 1 }],
  ['qint32', { bytes: 4 }],
  ['quint4x2', { bytes: 1 }],
  ['quint2x4', { bytes: 1 }],
]);

/** Size and name of an element type; undefined if it is not known here. */
export function elementTypeOf(name: string): ElementType | undefined {
  return ELEMENT_TYPES.get(name);
}
