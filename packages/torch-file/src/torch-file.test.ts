import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  blobSource,
  bytesSource,
  openTorchFile,
  type OpenTorchFileOptions,
  PickleGlobal,
  PickleObject,
  PickleTensor,
  type TorchFile,
  TorchFileError,
} from '.';
import { openTorchPath } from './node';

type Golden = {
  readonly form: string;
  readonly root: readonly string[];
  readonly tensors: Record<string, { dtype: string; shape: number[]; bytes: string }>;
  readonly unsupported?: readonly string[];
};

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const golden = JSON.parse(readFileSync(`${fixtures}golden.json`, 'utf8')) as { files: Record<string, Golden> };
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(fixtures + name));
const open = (name: string, options?: OpenTorchFileOptions): Promise<TorchFile> =>
  openTorchFile(bytesSource(bytesOf(name), name), options);

async function allTensors(file: TorchFile): Promise<Golden['tensors']> {
  const all: Golden['tensors'] = {};
  for (const [name, { dtype, shape }] of file.tensors) {
    const bytes = Buffer.from(await file.read(name)).toString('base64');
    Object.defineProperty(all, name, { value: { dtype, shape, bytes }, enumerable: true }); // a name may be __proto__
  }
  return all;
}

describe.each(Object.entries(golden.files))('openTorchFile: %s', (name, want) => {
  it('has every tensor as PyTorch reads it, from bytes, a Blob and the disk', async () => {
    const blob = new File([bytesOf(name) as Uint8Array<ArrayBuffer>], name);
    const files = [await open(name), await openTorchFile(blobSource(blob)), await openTorchPath(fixtures + name)];
    for (const file of files) {
      expect(await allTensors(file)).toEqual(want.tensors);
      expect(file.form).toBe(want.form);
      expect(file.root).toEqual(want.root);
      expect([...file.unsupported.keys()]).toEqual(want.unsupported ?? []);
      await file.close();
      await file.close();
    }
    expect(files.map((file) => file.name)).toEqual([name, name, fixtures + name]);
  });
});

describe('openTorchFile: what else is in a file', () => {
  it('shows a Lightning checkpoint, with class objects as keys and unknown objects, without their tensors', async () => {
    for (const name of ['lightning.ckpt', 'lightning-legacy.ckpt', 'deflated.ckpt']) {
      const { entries } = await open(name);
      if (!(entries instanceof Map)) throw new Error('no map');
      expect([...entries.keys()]).toEqual([
        'epoch',
        'global_step',
        'pytorch-lightning_version',
        'state_dict',
        'callbacks',
        'optimizer_states',
        'lr_schedulers',
        'hyper_parameters',
      ]);
      expect(entries.get('epoch')).toBe(3);
      expect(entries.get('global_step')).toBe(2 ** 40);
      expect(entries.get('pytorch-lightning_version')).toBe('1.4.2');
      const [callback, state] = [...(entries.get('callbacks') as Map<unknown, Map<string, unknown>>)][0]!;
      expect(callback).toEqual(new PickleGlobal('__main__', 'ModelCheckpoint'));
      expect(state.get('best_model_score')).toBeInstanceOf(PickleTensor);
      expect(state.get('monitor')).toBeNull();
      const settings = entries.get('hyper_parameters') as PickleObject;
      expect(settings).toBeInstanceOf(PickleObject);
      expect(settings.global).toBe('argparse.Namespace');
      expect(settings.state).toEqual(
        new Map<string, unknown>([
          ['lr', 1e-4],
          ['big', 2n ** 70n],
          ['names', new Set(['a', 'b'])],
          ['raw', Uint8Array.from([0, 255])],
          ['deep', [[1, [2, [3]]]]],
        ]),
      );
    }
  });

  it('opens the root it is told', async () => {
    const moments = await open('lightning.ckpt', { root: ['optimizer_states', 0, 'state', 0] });
    expect([...moments.tensors]).toEqual([
      ['step', { dtype: 'F32', shape: [] }],
      ['exp_avg', { dtype: 'F32', shape: [2, 3] }],
      ['exp_avg_sq', { dtype: 'F32', shape: [2, 3] }],
    ]);
    expect((await open('lightning.ckpt', { root: 'state_dict' })).tensors.size).toBe(8);
    expect([...(await open('list.pt', { root: [1] })).tensors.keys()]).toEqual(['x']);
    expect([...(await open('module.pt', { root: ['layers'] })).tensors.keys()]).toContain('0.weight');
    expect([...(await open('script.pt', { root: ['layers'] })).tensors.keys()]).toContain('0.weight');
  });

  it('names the keys and where tensors are if the root has none', async () => {
    await expect(open('lightning.ckpt', { root: 'model' })).rejects.toThrow(
      'lightning.ckpt: expected "model" in the top, which is a dict with epoch, global_step, pytorch-lightning_version, ' +
        'state_dict, callbacks, optimizer_states, lr_schedulers, hyper_parameters. Name another root.',
    );
    const error = await failure(open('lightning.ckpt', { root: [] }));
    expect(error.code).toBe('root');
    expect(error.message).toContain('expected tensors in the top, which is a dict with epoch,');
    expect(error.message).toContain('There are some in state_dict, optimizer_states → 0 → state → 0, ');
    expect((await failure(open('lightning.ckpt', { root: 'epoch' }))).message).toContain(
      'which is a number. There are some in',
    );
  });

  it('records calls of unknown functions and never makes them; odd names are only names', async () => {
    for (const name of ['malicious.pt', 'malicious-legacy.pt']) {
      const { entries, tensors } = await open(name);
      expect([...tensors.keys()]).toEqual(['__proto__', 'constructor']);
      const call = (entries as Map<string, unknown>).get('hasOwnProperty') as PickleObject;
      expect(call).toBeInstanceOf(PickleObject);
      expect(call.global).toMatch(/^(posix|nt)\.system$/);
      expect(call.args).toEqual(['touch /tmp/torch-file-was-here']);
      expect(({} as Record<string, unknown>).dtype).toBeUndefined();
      expect(Object.prototype.toString.call({})).toBe('[object Object]');
    }
  });

  it('lists what it does not read, says why, and fails only when it is asked for', async () => {
    const file = await open('unsupported.pt');
    expect(file.unsupported.get('sparse')).toBe('it is sparse. Save it as a plain tensor.');
    expect(file.unsupported.get('complex')).toBe('its type is complex64. Save it as another type, such as float32.');
    const error = await failure(file.read('complex'));
    expect(error.message).toBe(
      'unsupported.pt: tensor "complex" is not read: its type is complex64. Save it as another type, such as float32.',
    );
    expect([error.code, error.tensor]).toEqual(['unsupported', 'complex']);
  });
});

describe('openTorchFile: reading', () => {
  it('hands over bytes that no later read shares', async () => {
    for (const name of ['zoo.pt', 'zoo-legacy.pt', 'deflated.ckpt']) {
      const file = await open(name);
      const [first] = file.tensors.keys();
      const bytes = await file.read(first!);
      const before = Uint8Array.from(bytes);
      bytes.fill(7);
      expect(await file.read(first!)).toEqual(before);
    }
  });

  it('reads several tensors at once', async () => {
    for (const name of ['zoo.pt', 'deflated.ckpt']) {
      const file = await open(name);
      const all = await Promise.all([...file.tensors.keys()].map((tensor) => file.read(tensor)));
      const want = Object.values(golden.files[name]!.tensors);
      expect(all.map((bytes) => Buffer.from(bytes).toString('base64'))).toEqual(want.map(({ bytes }) => bytes));
    }
  });

  it('says which tensor is unknown, or asked for too late', async () => {
    const file = await open('lightning.ckpt');
    const unknown = await failure(file.read('weight'));
    expect(unknown.message).toBe('lightning.ckpt: has no tensor "weight" in state_dict; see tensors.');
    expect([unknown.code, unknown.tensor]).toEqual(['unknown_tensor', 'weight']);
    await file.close();
    const late = await failure(file.read('scale'));
    expect(late.message).toBe('lightning.ckpt: read "scale" after close().');
    expect(late.code).toBe('closed');
  });

  it('closes its source, also if the file is no good', async () => {
    let closed = 0;
    const close = async (): Promise<void> => void closed++;
    const file = await openTorchFile({ ...bytesSource(bytesOf('zoo.pt')), close });
    expect(closed).toBe(0);
    await file.close();
    expect(closed).toBe(1);
    await failure(openTorchFile({ ...bytesSource(bytesOf('plain.pkl')), close }));
    expect(closed).toBe(2);
  });

  it('passes on why a source failed', async () => {
    const source = bytesSource(bytesOf('zoo.pt'), 'zoo.pt');
    let fails = false;
    const file = await openTorchFile({
      ...source,
      read: async (offset, length) => {
        if (fails) throw new Error('the disk is gone');
        return source.read(offset, length);
      },
    });
    fails = true;
    const error = await failure(file.read('f64'));
    expect([error.code, error.tensor]).toEqual(['read', 'f64']);
    expect(error.message).toContain('zoo.pt: tensor "f64": ');
    expect(error.message).toContain('the disk is gone');
  });

  it('says that a path cannot be opened', async () => {
    const error = await failure(openTorchPath(`${fixtures}nothing.pt`));
    expect(error.code).toBe('read');
    expect(error.message).toContain('nothing.pt: cannot be opened: ENOENT');
    expect((await failure(openTorchPath(fixtures))).message).toContain('cannot be opened: expected a file, received a folder, a pipe or a device');
  });
});

async function failure(promise: Promise<unknown>): Promise<TorchFileError> {
  const error = await promise.then(
    () => new Error('expected an error'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TorchFileError);
  return error as TorchFileError;
}
