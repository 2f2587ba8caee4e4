import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GAP_WORD, parseVocabulary, vocabularyToJson } from '@sgdiff/sg-schema';
import { describe, expect, it } from 'vitest';
import { cocoStuffVocabulary, visualGenomeVocabulary } from './published-vocabularies';

/** Real samples, which lie beside the project on the machines that have them. */
const samples = fileURLToPath(new URL('../../../../shared/data/', import.meta.url));

describe('visualGenomeVocabulary', () => {
  const { objects, predicates } = visualGenomeVocabulary();

  it('has the published words at the published indices', () => {
    expect([objects.length, predicates.length]).toEqual([179, 46]);
    expect([0, 1, 9, 89, 178].map((i) => objects[i])).toEqual(['__image__', 'window', 'sign', 'mirror', 'tie']);
    expect([0, 1, 9, 22, 45].map((i) => predicates[i])).toEqual(['__in_image__', 'on', 'in', 'near', 'looking at']);
  });

  const file = `${samples}visual-genome/vocab.json`;
  it.skipIf(!existsSync(file))(`equals the vocabulary of sg2im's preprocessing (skipped without ${file})`, () => {
    const published = parseVocabulary(readFileSync(file, 'utf8'));
    expect(objects).toEqual(published.objects);
    expect(predicates).toEqual(published.predicates);
  });
});

describe('cocoStuffVocabulary', () => {
  const vocabulary = cocoStuffVocabulary();
  const { objects, predicates } = vocabulary;

  it('has a word for each category id and the gap word for the ids without one', () => {
    expect([objects.length, predicates.length]).toEqual([184, 7]);
    expect(objects.flatMap((word, id) => (word === GAP_WORD ? [id] : []))).toEqual([
      12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91,
    ]);
    expect([0, 1, 11, 13, 90, 92, 182, 183].map((id) => objects[id])).toEqual([
      '__image__',
      'person',
      'fire hydrant',
      'stop sign',
      'toothbrush',
      'banner',
      'wood',
      'other',
    ]);
    expect(predicates).toEqual(['__in_image__', 'left of', 'right of', 'above', 'below', 'inside', 'surrounding']);
  });

  it('never finds a gap by its word', () => {
    expect(vocabulary.objectIndex(GAP_WORD)).toBeUndefined();
  });

  const file = `${samples}coco-stuff/labels.txt`;
  it.skipIf(!existsSync(file))(`names the categories as COCO-Stuff does (skipped without ${file})`, () => {
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const labels = new Map(lines.map((line) => [Number(line.split(': ')[0]), line.trim().split(': ')[1]]));
    objects.forEach((word, id) => {
      if (id > 0 && id < 183 && word !== GAP_WORD) expect([id, word]).toEqual([id, labels.get(id)]);
    });
  });
});

it.each([
  ['Visual Genome', visualGenomeVocabulary],
  ['COCO-Stuff', cocoStuffVocabulary],
])('the words of %s survive a file', (_, make) => {
  const json = JSON.stringify(vocabularyToJson(make()));
  const back = parseVocabulary(json);
  expect([back.objects, back.predicates]).toEqual([make().objects, make().predicates]);
});
