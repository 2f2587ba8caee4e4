import { describe, expect, it } from 'vitest';
import { bytesSource, openTorchFile } from '.';
import { joinSegments } from './testing/segments';
import { writeZip } from './testing/write-zip';

const bytes = (...parts: (string | number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [...part].map((c) => c.charCodeAt(0)) : part)));
const zip = (...names: string[]): Uint8Array =>
  joinSegments(writeZip(names.map((name) => ({ name, data: bytes('x') }))));

describe('openTorchFile: other files', () => {
  it.each([
    ['nothing', bytes(), 'f: expected a PyTorch file, but it is empty.'],
    [
      'a web page',
      bytes('\n<!DOCTYPE html><html>'),
      /^f: expected a PyTorch file, but it is a web page\. The download gave an error/,
    ],
    [
      'a Git LFS pointer',
      bytes('version https://git-lfs.github.com/spec/v1\n'),
      /but it is a Git LFS pointer, not the file itself\./,
    ],
    [
      'a safetensors file',
      bytes([9, 0, 0, 0, 0, 0, 0, 0], '{"a":1}  '),
      /but it is a safetensors file, which needs another reader\.$/,
    ],
    [
      'a tar archive',
      bytes('name', new Array<number>(253).fill(0), 'ustar', [0]),
      /but it is a tar archive: either unpack it first, or/,
    ],
    ['gzip', bytes([0x1f, 0x8b, 8]), /but it is compressed with gzip\. Unpack it first\.$/],
    ['an empty zip archive', joinSegments(writeZip([])), /but it is an empty zip archive\.$/],
    ['an HDF5 file', bytes('\x89HDF\r\n'), /but it is an HDF5 file/],
    ['JSON', bytes(' {"a": 1}'), /but it looks like JSON\.$/],
    [
      'something else',
      bytes('hello world'),
      'f: expected a PyTorch file (a zip archive or a pickle), but it starts with 68 65 6c 6c 6f 20 77 6f. Is it another file?',
    ],
    [
      'a pickle of something else',
      bytes([0x80, 2, 0x4b, 1], '.'),
      'f: is a pickle, but not one that torch.save wrote. Is it another file?',
    ],
    [
      'a zip around a checkpoint',
      zip('config.yaml', 'model.ckpt'),
      'f: is a zip archive that holds model.ckpt. Unpack it and open that.',
    ],
    [
      'another zip',
      zip('word/document.xml'),
      'f: is a zip archive, but has no data.pkl, which a PyTorch file has. Is it another file?',
    ],
    ['two archives in one', zip('a/data.pkl', 'b/data.pkl'), 'f: expected one data.pkl in the archive, received 2.'],
  ])('says that it is %s', async (_, file, message) => {
    await expect(openTorchFile(bytesSource(file, 'f'))).rejects.toMatchObject({
      name: 'TorchFileError',
      code: 'not_torch',
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });

  it('does not read TorchScript archives of before PyTorch 1.4, and says so', async () => {
    await expect(openTorchFile(bytesSource(zip('m/model.json', 'm/tensors/0'), 'f'))).rejects.toMatchObject({
      code: 'unsupported',
      message: 'f: is a TorchScript archive of PyTorch before 1.4. Load and save it with a newer PyTorch.',
    });
  });
});
