import type { SceneGraph, Triple } from '@sgdiff/sg-schema';
import { createRandom, hashKey, type Random } from './random';
import { relationHolds } from './relations';
import type { PictureBookObject, PictureBookSample } from './render';
import { AIRBORNE, isPart, LIVING, type Category } from './vocabulary';

/** How clearly (in picture sides) a relation must hold to be told. */
const CLEARLY = -0.012;
const MAX_OBJECTS = 8;

/**
 * A graph as a person might write it: most of what is seen, where each thing stands, and how things lie to each other.
 * It has 2 to 8 objects, is connected, has at most `objects + 2` triples, and each triple is among the sample's relations
 * and holds with a margin.
 *
 * @param key Which graph of this sample: the same key gives the same graph.
 */
export function sampleGraph(
  sample: Pick<PictureBookSample, 'objects' | 'relations'>,
  ...key: readonly (number | string)[]
): SceneGraph {
  const random = createRandom([hashKey(key), 0x67726170, hashKey(['graph', ...key]), 0]);
  const chosen = chooseObjects(sample.objects, random);
  const telling = new Telling(sample, chosen);
  const things = chosen.filter((i) => !isPart(sample.objects[i].category));
  for (const [rank, thing] of things.entries()) tellThing(telling, thing, things.slice(0, rank), random);
  tellParts(telling, chosen, random);
  connect(telling, random);
  const extras = Math.min(random.weighted([0, 1, 2], [34, 40, 26]), chosen.length + 2 - telling.triples.length);
  for (let i = 0; i < extras; i++)
    telling.add(telling.choose((a, b) => !telling.linked(a, b) && !bothParts(sample, a, b), random));
  return telling.toGraph();
}

const MENTION: Partial<Record<Category, number>> = { sky: 0.72, cloud: 0.75, grass: 0.95, sand: 0.95, snow: 0.95 };

/** Positions in `objects` of what is named: parts from far to near, then things in random order. */
function chooseObjects(objects: readonly PictureBookObject[], random: Random): number[] {
  const all = objects.map((_, i) => i);
  const isThing = (i: number) => !isPart(objects[i].category);
  const named = new Set(
    all.filter((i) => random.chance(isThing(i) ? 0.95 : (MENTION[objects[i].category as Category] ?? 0.84))),
  );
  for (const i of all) if (named.size < 3 || (isThing(i) && ![...named].some(isThing))) named.add(i);
  for (const i of all) if (named.size > MAX_OBJECTS && objects[i].category === 'cloud') named.delete(i);
  for (const i of all) if (named.size > MAX_OBJECTS && !isThing(i) && objects[i].category !== 'grass') named.delete(i);
  return [
    ...all.filter((i) => named.has(i) && !isThing(i)),
    ...random.shuffle(all.filter((i) => named.has(i) && isThing(i))),
  ];
}

/** A thing is told by what bears it, or (from the second on, sometimes) by a thing told before. */
function tellThing(telling: Telling, thing: number, earlier: readonly number[], random: Random): void {
  const support = telling.choose((a, b) => a === thing && telling.isSupport(a, b), random);
  const neighbour = telling.choose((a, b) => a === thing && earlier.includes(b), random);
  if (!neighbour || !support || random.chance(0.74)) telling.add(support ?? neighbour);
  else telling.add(neighbour);
  if (neighbour && random.chance(0.5)) telling.add(neighbour);
}

/** Sky over ground, sea by or behind land and things, mountains behind, clouds in the sky or over things. */
function tellParts(telling: Telling, chosen: readonly number[], random: Random): void {
  for (const part of chosen.filter((i) => isPart(telling.categoryOf(i)))) {
    const isSky = telling.categoryOf(part) === 'sky';
    const others = chosen.filter((i) => i !== part);
    const grounds = others.filter((i) => GROUNDS_AND_SKY.has(telling.categoryOf(i)));
    const partners = isSky ? grounds : random.chance(0.55) && grounds.length > 0 ? grounds : others;
    if (telling.degree(part) > 0 && !isSky && random.chance(0.6)) continue;
    telling.add(telling.choose((a, b) => a === part && partners.includes(b) && !telling.linked(a, b), random));
  }
}

const GROUNDS_AND_SKY = new Set(['sky', 'grass', 'sand', 'snow', 'ocean']);

function connect(telling: Telling, random: Random): void {
  for (;;) {
    const bridge = telling.choose((a, b) => telling.group(a) !== telling.group(b), random);
    if (!bridge) return;
    telling.add(bridge);
  }
}

function bothParts({ objects }: Pick<PictureBookSample, 'objects'>, a: number, b: number): boolean {
  return isPart(objects[a].category) && isPart(objects[b].category);
}

/** The triples told so far, and the clear relations still to choose from. */
class Telling {
  readonly triples: Triple[] = [];
  private readonly clear: readonly Triple[];
  private readonly groups: Map<number, number>;

  constructor(
    private readonly sample: Pick<PictureBookSample, 'objects' | 'relations'>,
    private readonly chosen: readonly number[],
  ) {
    const { objects } = sample;
    const supports = new Set(sample.relations.filter(([, p]) => SUPPORT.has(p)).map(([a, , b]) => pairKey(a, b)));
    this.clear = sample.relations.filter(
      ([a, predicate, b]) =>
        chosen.includes(a) &&
        chosen.includes(b) &&
        // Nobody says that a sheep is above the grass it stands on.
        !(
          DIRECTION.has(predicate) &&
          objects[b].category !== 'sky' &&
          objects[a].category !== 'sky' &&
          (supports.has(pairKey(a, b)) || supports.has(pairKey(b, a)))
        ) &&
        relationHolds(predicate, objects[a], objects[b], { tolerance: CLEARLY }),
    );
    this.groups = new Map(chosen.map((i) => [i, i]));
  }

  categoryOf(i: number): string {
    return this.sample.objects[i].category;
  }

  isSupport(a: number, b: number): boolean {
    return !isPart(this.categoryOf(a)) && this.clear.some(([s, p, o]) => s === a && o === b && SUPPORT.has(p));
  }

  degree(i: number): number {
    return this.triples.filter(([a, , b]) => a === i || b === i).length;
  }

  linked(a: number, b: number): boolean {
    return this.triples.some(([s, , o]) => (s === a && o === b) || (s === b && o === a));
  }

  group(i: number): number {
    return this.groups.get(i) ?? i;
  }

  add(triple: Triple | undefined): void {
    if (!triple || this.triples.some(([s, p, o]) => s === triple[0] && p === triple[1] && o === triple[2])) return;
    this.triples.push(triple);
    const [from, to] = [this.group(triple[2]), this.group(triple[0])];
    for (const i of this.chosen) if (this.group(i) === from) this.groups.set(i, to);
  }

  /** One clear relation between objects that `accepts` them, as likely as people would say it. */
  choose(accepts: (subject: number, object: number) => boolean, random: Random): Triple | undefined {
    const candidates = this.clear.filter(([a, , b]) => accepts(a, b));
    const weights = candidates.map(([a, predicate, b]) =>
      likelihood(predicate, this.categoryOf(a), this.categoryOf(b)),
    );
    if (weights.every((weight) => weight === 0)) return undefined;
    return random.weighted(candidates, weights);
  }

  toGraph(): SceneGraph {
    const place = new Map(this.chosen.map((i, position) => [i, position]));
    return {
      objects: this.chosen.map((i) => this.categoryOf(i)),
      relationships: this.triples.map(
        ([a, predicate, b]) => [place.get(a) ?? 0, predicate, place.get(b) ?? 0] as const,
      ),
      boxes: this.chosen.map((i) => this.sample.objects[i].box),
    };
  }
}

const SUPPORT = new Set(['on', 'standing on', 'in']);
const DIRECTION = new Set(['left of', 'right of', 'above', 'below']);

function pairKey(a: number, b: number): string {
  return `${a} ${b}`;
}

/** How often people would put it this way, 0 for never. */
function likelihood(predicate: string, a: string, b: string): number {
  const partA = isPart(a);
  const partB = isPart(b);
  switch (predicate) {
    case 'standing on':
      return 12;
    case 'on':
      return LIVING.has(a) ? 2 : b === 'ocean' ? 3 : 12;
    case 'in':
      return 12;
    case 'by':
      return partA && partB ? 3 : 5;
    case 'behind':
      return partA && partB ? 3 : partB ? 1 : 4;
    case 'in front of':
      return partA ? 0.7 : partB ? 1.5 : 3;
    case 'under':
      return partA ? 0.6 : partB ? 0.8 : AIRBORNE.has(b) ? 2 : 9;
    case 'above':
      if (a === 'sky') return !partB ? 1 : b === 'cloud' || b === 'mountain' || b === 'hill' ? 4 : 14;
      if (partA) return a === 'cloud' ? 2 : partB ? 1.5 : 0.2;
      return AIRBORNE.has(a) ? 3 : partB ? 0.25 : 0.6;
    case 'below':
      if (b === 'sky') return partA ? 2.5 : 0.4;
      return partA ? 0.3 : b === 'cloud' ? 1.5 : partB ? 0.2 : 0.6;
    case 'left of':
    case 'right of':
      if (!partA && !partB) return 3;
      if (a !== 'ocean' && b !== 'ocean') return 0.05;
      return partA && partB ? (GROUNDS_AND_SKY.has(a) && GROUNDS_AND_SKY.has(b) ? 2 : 0.05) : 0.7;
    case 'inside':
      return partA ? 0.3 : 0.6;
    case 'surrounding':
      return a === 'sky' ? 0.2 : 0.9;
    default:
      return 0;
  }
}
