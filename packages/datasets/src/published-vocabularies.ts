// Word lists in the order of the published weights: an index means a row of an embedding table.
//
// Visual Genome: what sg2im's preprocessing of release 1.4 gives (objects by frequency, predicates by first appearance).
// Source: Visual Genome annotations, Krishna et al. 2017, CC BY 4.0.
// COCO-Stuff: category ids 1 to 90 are things, 92 to 182 stuff. Source: COCO and COCO-Stuff annotations, Lin et al. 2014,
// Caesar et al. 2018, CC BY 4.0.
import { createVocabulary, GAP_WORD, IMAGE_OBJECT, IN_IMAGE_PREDICATE, type Vocabulary } from '@sgdiff/sg-schema';

/**
 * The words of the published Visual Genome models: 179 objects and 46 predicates, `__image__` and `__in_image__` included.
 *
 * @see google/sg2im: scripts/preprocess_vg.py, which makes such lists; another release of the annotations gives others.
 */
export function visualGenomeVocabulary(): Vocabulary {
  return createVocabulary(
    [IMAGE_OBJECT, ...wordsOf(VISUAL_GENOME_OBJECTS)],
    [IN_IMAGE_PREDICATE, ...wordsOf(VISUAL_GENOME_PREDICATES)],
  );
}

/**
 * The words of the published COCO-Stuff models: 184 objects, whose indices are category ids, and 7 predicates, `__image__`
 * and `__in_image__` included. Ids without a category hold `GAP_WORD`; 183 is `other`, which data sets leave out.
 *
 * @see google/sg2im: sg2im/data/coco.py
 */
export function cocoStuffVocabulary(): Vocabulary {
  const things = wordsOf(COCO_THINGS);
  const objects = Array.from({ length: 91 }, (_, id) => (COCO_GAPS.has(id + 1) ? GAP_WORD : things.shift()!)); // ids 1 to 91
  return createVocabulary(
    [IMAGE_OBJECT, ...objects, ...wordsOf(COCO_STUFF), 'other'],
    [IN_IMAGE_PREDICATE, 'left of', 'right of', 'above', 'below', 'inside', 'surrounding'],
  );
}

/** Category ids that no category has. */
const COCO_GAPS: ReadonlySet<number> = new Set([12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91]);

const VISUAL_GENOME_OBJECTS = `
  window, tree, man, shirt, wall, person, building, ground, sign, light, sky, head, leaf, leg, hand, pole, grass,
  hair, car, woman, cloud, ear, eye, line, table, shoe, people, door, shadow, wheel, letter, pant, flower, water,
  chair, fence, floor, handle, nose, arm, plate, stripe, rock, jacket, hat, tail, foot, face, road, tile, number,
  sidewalk, short, spot, bag, snow, bush, boy, helmet, street, field, bottle, glass, tire, logo, background, roof,
  post, branch, boat, plant, umbrella, brick, picture, girl, button, mouth, track, part, bird, food, box, banana,
  dirt, cap, jean, glasses, bench, mirror, book, pillow, top, wave, shelf, clock, glove, headlight, bowl, trunk, bus,
  neck, edge, train, reflection, horse, paper, writing, kite, flag, seat, house, wing, board, lamp, cup, elephant,
  cabinet, coat, mountain, giraffe, sock, cow, counter, hill, word, finger, dog, wire, sheep, zebra, ski, ball, frame,
  back, bike, truck, animal, design, ceiling, sunglass, sand, skateboard, motorcycle, curtain, container, windshield,
  cat, beach, towel, knob, boot, bed, sink, paw, surfboard, horn, pizza, wood, bear, stone, orange, engine, photo,
  hole, child, railing, player, stand, ocean, lady, vehicle, sticker, pot, apple, basket, plane, key, tie`;

const VISUAL_GENOME_PREDICATES = `
  on, next to, has, parked on, by, with, along, against, in, under, of, wearing, sitting in, wears, beside, walking
  on, at, on top of, behind, made of, have, near, sitting on, hanging on, in front of, carrying, above, over, and, on
  side of, riding, inside, attached to, around, holding, standing on, laying on, for, below, standing in, covering,
  covered in, belonging to, eating, looking at`;

const COCO_THINGS = `
  person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking
  meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie,
  suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis
  racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot
  dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
  cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
  toothbrush`;

const COCO_STUFF = `
  banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other,
  ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble,
  floor-other, floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel,
  ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper,
  pavement, pillow, plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug,
  salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table,
  tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, wall-stone,
  wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood`;

/** The words of a list with commas between them; a phrase may run over the end of a line. */
function wordsOf(list: string): string[] {
  return list.split(',').map((word) => word.trim().replace(/\s+/g, ' '));
}
