import { type Segment } from './segments';
import { little, type TestValue, writePickle } from './write-pickle';
import { writeZip, type ZipItem } from './write-zip';

/** A PyTorch file of the zip form. */
export function writeTorchZip(
  entries: TestValue | Uint8Array,
  storages: Readonly<Record<string, Segment>>,
  change: (items: ZipItem[]) => ZipItem[] = (items) => items,
): Segment[] {
  const pickle = entries instanceof Uint8Array ? entries : writePickle(entries);
  return writeZip(
    change([
      { name: 'archive/data.pkl', data: pickle },
      { name: 'archive/byteorder', data: new TextEncoder().encode('little') },
      ...Object.entries(storages).map(([key, data]) => ({ name: `archive/data/${key}`, data })),
    ]),
  );
}

/** A PyTorch file of the legacy form. */
export function writeTorchLegacy(
  entries: TestValue | Uint8Array,
  storages: readonly { readonly key: TestValue; readonly count: number; readonly data: Segment }[],
  system: TestValue = new Map([['little_endian', true]]),
): Segment[] {
  return [
    writePickle(0x1950a86a20f9469cfc6cn),
    writePickle(1001),
    writePickle(system),
    entries instanceof Uint8Array ? entries : writePickle(entries),
    writePickle(storages.map(({ key }) => key)),
    ...storages.flatMap(({ count, data }) => [Uint8Array.from(little(count, 8)), data]),
  ];
}
