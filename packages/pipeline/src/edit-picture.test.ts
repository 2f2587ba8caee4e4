import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { addObject, relate, removeObject, renameObject, withIds, type SceneGraph } from '@sgdiff/sg-schema';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadPipeline } from './load';
import { memorySource } from './model-source';
import type { Picture, PictureStep, Pipeline } from './pipeline';
import { MAX_EDITS, parseRecord, type RequestRecord } from './record';
import { SAMPLERS } from './samplers';
import { tinyManifest, tinyModel } from './testing/tiny-model';

const meadow: SceneGraph = withIds({
  objects: ['sky', 'grass', 'sheep'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
  ],
});
const withZebra = renameObject(meadow, 2, 'zebra');
const throughJson = ({ record }: Picture): RequestRecord => parseRecord(JSON.parse(JSON.stringify(record)));

describe.each(['cpu', 'wasm'] as const)('editing a picture by its graph, on %s', (backend) => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    await setupBackend(backend);
    pipeline = await loadPipeline(memorySource('tiny', await tinyModel(tinyManifest)));
  });
  afterAll(() => pipeline.dispose());

  /** A picture whose edit leaves a part of it alone: which one does is up to random weights. */
  async function edited(): Promise<{ before: Picture; after: Picture }> {
    for (let seed = 0; seed < 60; seed++) {
      const before = await pipeline.generate(meadow, { seed, steps: 2 });
      const after = await pipeline.edit(before.record, withZebra);
      if (after.record.edits && /0/.test(after.record.edits[0].region.join(''))) return { before, after };
    }
    throw new Error('No seed whose edit keeps a part of the picture.');
  }

  it('records what it was made of, and is drawn again from that to the byte', async () => {
    const { before, after } = await edited();
    expect(after.record).toEqual({
      ...before.record,
      graph: withZebra,
      edits: [{ graph: meadow, region: expect.any(Array) as string[] }],
    });
    const { region } = after.record.edits![0];
    expect(region).toHaveLength(4);
    for (const row of region) expect(row).toMatch(/^[08f]{4}$/);
    expect(await pipeline.replay(throughJson(after))).toEqual(after);
    expect(await pipeline.edit(before.record, withZebra)).toEqual(after);
    expect(after.pixels).not.toEqual(before.pixels);
    expect(after.pixels).not.toEqual((await pipeline.edit(before.record, withZebra, { redraw: 'all' })).pixels);
  });

  it('changes nothing for a graph that says the same, also of a picture that was edited', async () => {
    const { before, after } = await edited();
    expect(await pipeline.edit(before.record, meadow)).toEqual(before);
    expect(await pipeline.edit(after.record, withZebra)).toEqual(after);
  });

  it('edits what was edited, and draws it again', async () => {
    const { after } = await edited();
    const grown = relate(addObject(withZebra, 'tree'), 3, 'behind', 2);
    const second = await pipeline.edit(after.record, grown);
    const third = await pipeline.edit(second.record, removeObject(grown, 2));
    for (const picture of [second, third]) expect(await pipeline.replay(throughJson(picture))).toEqual(picture);
    // A region that covers everything makes a picture without a past.
    for (const { record } of [second, third]) expect(record.edits?.length ?? 0).toBeLessThanOrEqual(3);
  });

  it.each(SAMPLERS)('keeps what it does not touch at every step, with %s', async (sampler) => {
    // Nothing is touched: then the item held to the one before it is the same as it, to the last bit, with fresh noise, too.
    const { record } = await pipeline.generate(meadow, { seed: 3, steps: 3, sampler });
    const nothing = ['0000', '0000', '0000', '0000'];
    const held = await pipeline.replay({ ...record, graph: withZebra, edits: [{ graph: meadow, region: nothing }] });
    expect(held.pixels).toEqual((await pipeline.generate(meadow, { seed: 3, steps: 3, sampler })).pixels);
    const everything = ['ffff', 'ffff', 'ffff', 'ffff'];
    const free = await pipeline.replay({ ...record, graph: withZebra, edits: [{ graph: meadow, region: everything }] });
    expect(free.pixels).toEqual((await pipeline.generate(withZebra, { seed: 3, steps: 3, sampler })).pixels);
  });

  it('tells its steps as one run, with previews and maps of the edited picture alone', async () => {
    const { before } = await edited();
    const told: number[][] = [];
    const picture = await pipeline.edit(before.record, withZebra, {
      maps: true,
      async onStep({ index, steps, preview, maps }) {
        told.push([index, steps, (await preview()).length]);
        if (index >= 2) expect(await maps()).toHaveLength(1);
        else await expect(maps()).rejects.toThrow('maps: expected a call in the second half of the steps of an edit');
      },
    });
    expect(told).toEqual([
      [0, 4, 1],
      [1, 4, 1],
      [2, 4, 1],
      [3, 4, 1],
    ]);
    expect(picture.maps?.objects).toHaveLength(3);
  });

  it('can be stopped in either half, and frees everything', async () => {
    const { before, after } = await edited();
    await expectNoLeak(() => pipeline.edit(before.record, withZebra));
    await expectNoLeak(() => pipeline.replay(after.record));
    for (const at of [0, 2]) {
      const stop = new AbortController();
      const onStep = ({ index }: { index: number }) => void (index === at && stop.abort());
      await expectNoLeak(() => pipeline.edit(before.record, withZebra, { signal: stop.signal, onStep }), {
        throws: `aborted after step 0 of 2.`,
      });
    }
  });

  describe("a picture of one's own", () => {
    const side = tinyManifest.imageSize;
    const image = {
      width: side,
      height: side,
      pixels: Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 37) % 256),
    };
    /** Changed with a seed with which a part of it stays. */
    async function changed(): Promise<Picture> {
      for (let seed = 0; seed < 60; seed++) {
        const picture = await pipeline.editImage(image, meadow, withZebra, { seed, steps: 2 });
        if (picture.record.edits && /0/.test(picture.record.edits[0].region.join(''))) return picture;
      }
      throw new Error('No seed whose edit keeps a part of the picture.');
    }

    it('is itself where nothing changes, to the byte, whatever the settings', async () => {
      const same = await pipeline.editImage(image, meadow, meadow, { steps: 2 });
      expect(same.record.edits).toBeUndefined();
      expect(same.record.image).toMatch(/^[0-9a-f]{64}$/);
      expect(same.pixels).toEqual(image.pixels);
      const previews: Uint8Array[] = [];
      const onStep = async ({ preview }: PictureStep) => void previews.push(...(await preview()));
      await pipeline.replay(throughJson(same), { image, onStep });
      for (const pixels of previews) expect(pixels).toEqual(image.pixels);
      expect(previews).toHaveLength(2);
      for (const sampler of ['ddpm', 'heun', 'unipc'] as const) {
        expect((await pipeline.editImage(image, meadow, meadow, { steps: 3, seed: 5, sampler })).pixels).toEqual(
          same.pixels,
        );
      }
      expect(await pipeline.replay(throughJson(same), { image })).toEqual(same);
    });

    it('is changed where the change touches it, drawn again from its record, and edited further', async () => {
      const picture = await changed();
      expect(picture.record).toMatchObject({
        graph: withZebra,
        edits: [{ graph: meadow }],
        seed: expect.any(Number) as number,
      });
      const nothing = ['0000', '0000', '0000', '0000'];
      const kept = { ...picture.record, edits: [{ graph: meadow, region: nothing }] };
      expect((await pipeline.replay(kept, { image })).pixels).toEqual(image.pixels);
      expect(picture.pixels).not.toEqual(image.pixels);
      expect(await pipeline.replay(throughJson(picture), { image })).toEqual(picture);
      const clamped = { ...image, pixels: Uint8ClampedArray.from(image.pixels) as unknown as Uint8Array };
      expect(await pipeline.replay(throughJson(picture), { image: clamped })).toEqual(picture); // as canvases give it
      const further = await pipeline.edit(picture.record, relate(addObject(withZebra, 'tree'), 3, 'behind', 2), {
        image,
      });
      expect(await pipeline.replay(throughJson(further), { image })).toEqual(further);
      const all = await pipeline.edit(picture.record, meadow, { redraw: 'all' });
      expect(all.record.image).toBeUndefined();
    });

    it('is refused in another size, and asked for where a record needs it; everything is freed', async () => {
      const { record } = await changed();
      await expectNoLeak(() => pipeline.editImage(image, meadow, withZebra, { seed: record.seed, steps: 2 }));
      await expectNoLeak(() => pipeline.replay(record, { image }));
      const throwing = (work: () => Promise<unknown>, throws: string) => expectNoLeak(work, { throws });
      const none = 'image: expected the picture that was given to editImage, which this record needs, received none.';
      await throwing(() => pipeline.replay(record), none);
      await throwing(() => pipeline.edit(record, meadow), none);
      const other = { ...image, pixels: image.pixels.map((byte) => 255 - byte) };
      await throwing(
        () => pipeline.replay(record, { image: other }),
        'that was given to editImage, received another, ',
      );
      const small = { width: 4, height: 4, pixels: new Uint8Array(48) };
      await throwing(
        () => pipeline.editImage(small, meadow, withZebra),
        'image: expected 8 × 8 pixels of 3 bytes, as this model draws, received 4 × 4 and 48 bytes. Crop and scale it, and leave alpha out.',
      );
      const asFloats = { ...image, pixels: Float32Array.from(image.pixels) as unknown as Uint8Array };
      const bytes = 'image: expected { width, height, pixels }, with the pixels as bytes in a Uint8Array, received ';
      await throwing(() => pipeline.editImage(asFloats, meadow, withZebra), `${bytes}pixels that are `);
      await throwing(() => pipeline.editImage(undefined as never, meadow, withZebra), `${bytes}nothing.`);
      await throwing(() => pipeline.editImage(null as never, meadow, withZebra), `${bytes}null.`);
      const { record: drawn } = await pipeline.generate(meadow, { steps: 1 });
      const needless = 'image: expected none for a record of a picture that was drawn, received one.';
      await throwing(() => pipeline.edit(drawn, withZebra, { image }), needless);
      await throwing(() => pipeline.replay(drawn, { image }), needless);
      await throwing(() => pipeline.editImage(image, meadow, withZebra, { seed: -1 }), 'seed: expected a whole number');
      await throwing(
        () => pipeline.editImage(image, meadow, withZebra, { steps: 0 }),
        'steps: expected a whole number',
      );
      expect(() => parseRecord({ ...record, image: 'abc' })).toThrow(
        'Request record: image: expected a SHA-256 of 64 digits, received "abc".',
      );
    });
  });

  it('refuses an edit too many, and what is none', async () => {
    const { record } = await pipeline.generate(meadow, { seed: 3, steps: 1 });
    const past = { graph: meadow, region: ['0000', '0ff0', '0ff0', '0000'] };
    const often = { ...record, edits: Array.from({ length: MAX_EDITS }, () => past) };
    expect((await pipeline.replay(often)).record).toEqual(often);
    await expectNoLeak(() => pipeline.edit(often, withZebra), {
      throws:
        `edit: expected a picture that was edited at most ${MAX_EDITS - 1} times, received one edited ${MAX_EDITS} times. ` +
        'Draw it in full with redraw "all".',
    });
    expect((await pipeline.edit(often, withZebra, { redraw: 'all' })).record.edits).toBeUndefined();
    await expectNoLeak(() => pipeline.edit(record, withZebra, { redraw: 'some' as never }), {
      throws: 'redraw: expected "touched" or "all", received "some".',
    });
    const other = { ...record, edits: [{ graph: meadow, region: ['00', '0f'] }] };
    await expectNoLeak(() => pipeline.replay(other), {
      throws:
        'Request record: edits: expected regions of 4 rows of 4 digits, as this model has it, received 2 rows of 2. ' +
        'Take the record that @sgdiff/pipeline gave with the picture.',
    });
    const wrong = (edits: unknown) => () => parseRecord({ ...record, edits });
    const tooMany = Array.from({ length: MAX_EDITS + 1 }, () => past);
    expect(wrong(tooMany)).toThrow(
      'Request record: edits: expected at most 8, received 9, which would all be drawn along.',
    );
    expect(wrong(3)).toThrow('Request record: edits: expected a list, received 3.');
    expect(wrong([{ graph: meadow, region: ['0g'] }])).toThrow(
      'Request record: edits[0]: expected an object with graph and region, a list of rows of digits from 0 to f, received',
    );
    expect(wrong([{ region: ['00'] }])).toThrow('parseSceneGraph');
  });
});
