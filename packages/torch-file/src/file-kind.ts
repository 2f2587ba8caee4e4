import { type ByteSource, readExactly } from './byte-source';
import { TorchFileError } from './errors';

const HEAD_BYTES = 512;

/** Other files that are taken for checkpoints, by their first bytes. */
const OTHERS: readonly { readonly is: (head: Uint8Array, text: string) => boolean; readonly say: string }[] = [
  {
    is: (_, text) => text.startsWith('version https://git-lfs'),
    say: 'is a Git LFS pointer, not the file itself. Load that with "git lfs pull"',
  },
  {
    is: (_, text) => /^\s*<(!doctype html|html|head|\?xml|!--)/i.test(text),
    say: 'is a web page. The download gave an error or asked for a confirmation: load it again in a browser',
  },
  {
    is: (_, text) => text.startsWith('ustar', 257),
    say: 'is a tar archive: either unpack it first, or it is of PyTorch before 0.1.10, whose form is not read',
  },
  { is: (head) => head[0] === 0x1f && head[1] === 0x8b, say: 'is compressed with gzip. Unpack it first' },
  { is: (_, text) => text.startsWith('BZh'), say: 'is compressed with bzip2. Unpack it first' },
  { is: (_, text) => text.startsWith('\xfd7zXZ'), say: 'is compressed with xz. Unpack it first' },
  { is: (_, text) => text.startsWith('\x28\xb5\x2f\xfd'), say: 'is compressed with zstd. Unpack it first' },
  { is: (_, text) => text.startsWith('7z\xbc\xaf\x27\x1c'), say: 'is a 7z archive. Unpack it first' },
  { is: (_, text) => text.startsWith('Rar!'), say: 'is a RAR archive. Unpack it first' },
  { is: (_, text) => text.startsWith('PK\x05\x06'), say: 'is an empty zip archive' },
  { is: (_, text) => text.startsWith('{"', 8), say: 'is a safetensors file, which needs another reader' },
  { is: (_, text) => text.startsWith('\x89HDF'), say: 'is an HDF5 file (Keras?)' },
  { is: (_, text) => text.startsWith('GGUF'), say: 'is a GGUF file' },
  { is: (_, text) => text.startsWith('\x93NUMPY'), say: 'is a NumPy array' },
  { is: (_, text) => /^\s*[{[]/.test(text), say: 'looks like JSON' },
];

/**
 * Which form of a PyTorch file the first bytes announce.
 *
 * @throws TorchFileError `not_torch` if neither; the message says what the file looks like.
 */
export async function sniffForm(source: ByteSource): Promise<'zip' | 'legacy'> {
  if (source.size === 0)
    throw new TorchFileError(`${source.name}: expected a PyTorch file, but it is empty.`, 'not_torch');
  const head = await readExactly(source, 0, Math.min(HEAD_BYTES, source.size), 'its beginning');
  const text = String.fromCharCode(...head);
  if (text.startsWith('PK\x03\x04')) return 'zip';
  const other = OTHERS.find(({ is }) => is(head, text));
  if (other) throw new TorchFileError(`${source.name}: expected a PyTorch file, but it ${other.say}.`, 'not_torch');
  // A pickle: of protocol 2 and later, or the digits of the magic number in protocols 0 and 1.
  if (head[0] === 0x80 || text.startsWith('L1195')) return 'legacy';
  const start = [...head.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new TorchFileError(
    `${source.name}: expected a PyTorch file (a zip archive or a pickle), but it starts with ${start}. Is it another file?`,
    'not_torch',
  );
}
