// A drawing of the graph that looks a little like the scene: what is above, on or behind something stands in a higher
// row, what is beside it in the same row. Rows, then order, then places, as in layered graph drawing
// (Sugiyama, Tagawa and Toda 1981); edges over several rows pass through a slot of their own in each, and carry their
// label there. Units are px of the drawing before scaling.
import type { SceneGraph } from '@sgdiff/sg-schema';
import { objectNames } from './named-difference';

export type GraphLayout = {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
};

/** A rectangle by its centre. */
export type Place = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };

/** In the order of the graph's objects. */
export type PlacedNode = Place & { readonly name: string };

/** Relations of the same subject and object share one edge. */
export type PlacedEdge = {
  readonly subject: number;
  readonly object: number;
  readonly predicates: readonly string[];
  /** SVG path data, from subject to object. */
  readonly path: string;
  readonly text: string;
  readonly label: Place;
};

const NODE_HEIGHT = 32;
const LABEL_HEIGHT = 18;
const NODE_GAP = 26;
/** Between nodes joined with the same third one, whose labels come together there. */
const FAN_GAP = 52;
const ROW_GAP = 60;
const ARC_HEIGHT = 34;
const MARGIN = 6;
const LONELY_PER_ROW = 5;

/** Predicates whose subject is drawn beside the object, and which of the two is left. */
const BESIDE: Readonly<Record<string, 'subject' | 'object'>> = {
  'left of': 'subject',
  'right of': 'object',
  by: 'object',
  near: 'object',
  beside: 'object',
  'next to': 'object',
};
/** Predicates whose subject is drawn under the object; with all others it is drawn over it. */
const UNDER = new Set(['below', 'under', 'beneath', 'in front of', 'surrounding']);
/** Predicates that do not bind the subject to the row next to the object's. */
const LOOSE = new Set(['above', 'below']);

type Edge = { readonly subject: number; readonly object: number; readonly predicates: string[] };

/** A node (its object's position) or the slot of an edge on its way through a row. */
type Item = {
  readonly width: number;
  /** The object that it stands for; none for a slot. */
  readonly node?: number;
  /** Items of one row and group stand together, in their order. */
  readonly group: string;
  /** Items joined with this one in the rows next to its own. */
  readonly joined: Item[];
  x: number;
};

/** Where everything of a graph is drawn. */
export function layoutGraph(graph: SceneGraph): GraphLayout {
  const names = objectNames(graph);
  const edges = mergeRelations(graph);
  const clusters = findClusters(names.length, edges);
  const rowOf = assignRows(names.length, edges, clusters);
  const { rows, nodeItems, chains } = buildRows(names, edges, clusters, rowOf);
  orderRows(rows);
  placeItems(rows, edges);

  const isArc = ({ subject, object }: Edge): boolean => {
    const row = rows[rowOf[subject]!]!;
    return (
      rowOf[subject] === rowOf[object] &&
      Math.abs(row.indexOf(nodeItems[subject]!) - row.indexOf(nodeItems[object]!)) > 1
    );
  };
  const arcRows = new Set(edges.filter(isArc).map(({ subject }) => rowOf[subject]!));
  const ys: number[] = [];
  let y = MARGIN;
  rows.forEach((_, row) => {
    if (arcRows.has(row)) y += ARC_HEIGHT;
    ys.push(y + NODE_HEIGHT / 2);
    y += NODE_HEIGHT + ROW_GAP;
  });
  const items = rows.flat();
  const left = Math.min(...items.map((item) => item.x - item.width / 2)) - MARGIN;
  const right = Math.max(...items.map((item) => item.x + item.width / 2)) + MARGIN;
  for (const item of items) item.x -= left;

  const nodes = nodeItems.map((item, i): PlacedNode => ({
    name: names[i]!,
    x: round(item.x),
    y: ys[rowOf[i]!]!,
    width: nodeWidth(names[i]!),
    height: NODE_HEIGHT,
  }));
  const taken: Place[] = [...nodes];
  const twoWay = ({ subject, object }: Edge): boolean =>
    edges.some((other) => other.subject === object && other.object === subject);
  const ends = spreadEnds(edges, nodes, chains);
  const endOf = (edge: number, node: number): number => ends.get(`${edge} ${node}`)!;
  const crowding = (node: number): number => edges.filter((edge) => touches(edge, node)).length;
  const placed = edges.map((edge, i): PlacedEdge => {
    const slots = chains[i]!.map(({ item, row }) => ({ x: round(item.x), y: ys[row]! }));
    const shift = twoWay(edge) ? (edge.subject < edge.object ? -1 : 1) : 0;
    const line =
      rowOf[edge.subject] === rowOf[edge.object]
        ? drawBeside(nodes[edge.subject]!, nodes[edge.object]!, isArc(edge), shift)
        : drawBetween(
            { ...nodes[edge.subject]!, x: endOf(i, edge.subject) },
            { ...nodes[edge.object]!, x: endOf(i, edge.object) },
            slots,
            crowding(edge.object) - crowding(edge.subject),
          );
    const size = { width: labelWidth(edge.predicates), height: LABEL_HEIGHT };
    const places = line.labels.map(({ x, y }): Place => ({ x: round(x), y: round(y), ...size }));
    const hidden = places.map((place) => taken.reduce((sum, other) => sum + overlapArea(place, other), 0));
    const label = places[hidden.indexOf(Math.min(...hidden))]!;
    taken.push(label);
    return { ...edge, path: line.path, text: edgeText(edge.predicates), label };
  });
  return { width: round(right - left), height: y - ROW_GAP + MARGIN, nodes, edges: placed };
}

export function overlapArea(a: Place, b: Place): number {
  const across = (a.width + b.width) / 2 - Math.abs(a.x - b.x);
  const down = (a.height + b.height) / 2 - Math.abs(a.y - b.y);
  return Math.max(0, Math.min(across, a.width, b.width)) * Math.max(0, Math.min(down, a.height, b.height));
}

/** Estimated, since this runs without a page: 14 px letters in nodes, 12 px letters on edges. */
export function nodeWidth(name: string): number {
  return Math.round(26 + name.length * 7.6);
}

function labelWidth(predicates: readonly string[]): number {
  return Math.round(10 + edgeText(predicates).length * 6.3);
}

function edgeText(predicates: readonly string[]): string {
  return predicates.join(', ');
}

function mergeRelations(graph: SceneGraph): Edge[] {
  const merged = new Map<string, Edge>();
  for (const [subject, predicate, object] of graph.relationships) {
    if (subject === object) continue;
    const key = `${subject} ${object}`;
    const edge = merged.get(key);
    if (!edge) merged.set(key, { subject, object, predicates: [predicate] });
    else if (!edge.predicates.includes(predicate)) edge.predicates.push(predicate);
  }
  return [...merged.values()];
}

/** Objects that stand beside each other, directly or through others: one cluster each, in their order from the left. */
function findClusters(count: number, edges: readonly Edge[]): number[][] {
  const parent = Array.from({ length: count }, (_, i) => i);
  const find = (i: number): number => (parent[i] === i ? i : (parent[i] = find(parent[i]!)));
  const leftOf: (readonly [left: number, right: number])[] = [];
  for (const { subject, object, predicates } of edges) {
    const side = BESIDE[predicates[0]!];
    if (side === undefined) continue;
    parent[find(subject)] = find(object);
    leftOf.push(side === 'subject' ? [subject, object] : [object, subject]);
  }
  const clusters = new Map<number, number[]>();
  for (let i = 0; i < count; i++) clusters.set(find(i), [...(clusters.get(find(i)) ?? []), i]);
  return [...clusters.values()].map((members) => sortFromLeft(members, leftOf));
}

/** Each after those left of it; where they go round in a circle, in the order of the graph. */
function sortFromLeft(members: readonly number[], leftOf: readonly (readonly [number, number])[]): number[] {
  const sorted: number[] = [];
  const rest = [...members];
  while (rest.length > 0) {
    const last = sorted.at(-1);
    const free = rest.filter((i) => !leftOf.some(([left, right]) => right === i && rest.includes(left)));
    const next = free.find((i) => leftOf.some(([left, right]) => left === last && right === i)) ?? free[0] ?? rest[0]!;
    sorted.push(next);
    rest.splice(rest.indexOf(next), 1);
  }
  return sorted;
}

/** The row of each object, 0 at the top. */
function assignRows(count: number, edges: readonly Edge[], clusters: readonly (readonly number[])[]): number[] {
  const clusterOf: number[] = [];
  clusters.forEach((members, c) => members.forEach((i) => (clusterOf[i] = c)));
  const below = clusters.map(() => new Map<number, boolean>()); // cluster under this one -> whether closely
  const reaches = (from: number, to: number): boolean =>
    from === to || [...below[from]!.keys()].some((next) => reaches(next, to));
  for (const { subject, object, predicates } of edges) {
    const isUnder = UNDER.has(predicates[0]!);
    const upper = clusterOf[isUnder ? object : subject]!;
    const lower = clusterOf[isUnder ? subject : object]!;
    if (reaches(lower, upper)) continue; // Beside each other, or it would close a circle.
    below[upper]!.set(lower, (below[upper]!.get(lower) ?? true) && !LOOSE.has(predicates[0]!));
  }
  const row = clusters.map(() => 0);
  const order: number[] = [];
  const visit = (c: number): void => {
    if (order.includes(c)) return;
    for (const next of below[c]!.keys()) visit(next);
    order.push(c);
  };
  clusters.forEach((_, c) => visit(c)); // Lower ones first.
  for (const c of [...order].reverse())
    for (const next of below[c]!.keys()) row[next] = Math.max(row[next]!, row[c]! + 1);
  // What is on or behind something goes down to it, unless something above holds on to it as closely.
  for (const c of order) {
    const under = [...below[c]!];
    if (under.length === 0 || !under.every(([, closely]) => closely)) continue;
    row[c] = Math.min(...under.map(([next]) => row[next]!)) - 1;
  }
  // Objects without relations get rows of their own at the end.
  const lonely = new Set(Array.from({ length: count }, (_, i) => i));
  for (const { subject, object } of edges) {
    lonely.delete(subject);
    lonely.delete(object);
  }
  const rows = clusterOf.map((c, i) => (lonely.has(i) ? -1 : row[c]!));
  const used = [...new Set(rows.filter((r) => r >= 0))].sort((a, b) => a - b);
  const lonelyInOrder = [...lonely];
  return rows.map((r, i) =>
    r >= 0 ? used.indexOf(r) : used.length + Math.floor(lonelyInOrder.indexOf(i) / LONELY_PER_ROW),
  );
}

type Chain = { readonly item: Item; readonly row: number }[];

/** The items of each row; the items of a cluster stand together. `chains` holds the slots of each edge from subject to object. */
function buildRows(
  names: readonly string[],
  edges: readonly Edge[],
  clusters: readonly (readonly number[])[],
  rowOf: readonly number[],
): { rows: Item[][]; nodeItems: Item[]; chains: Chain[] } {
  const rows: Item[][] = Array.from({ length: Math.max(...rowOf) + 1 }, () => []);
  const nodeItems: Item[] = [];
  clusters.forEach((members, cluster) => {
    for (const node of members) {
      // As wide as the labels on its way up and down, which would cover each other otherwise.
      const labels = edges.filter((edge) => touches(edge, node) && rowOf[edge.subject] !== rowOf[edge.object]);
      const width = Math.max(nodeWidth(names[node]!), ...labels.map(({ predicates }) => labelWidth(predicates)));
      const item: Item = { node, group: `cluster ${cluster}`, width, joined: [], x: 0 };
      nodeItems[node] = item;
      rows[rowOf[node]!]!.push(item);
    }
  });
  const chains = edges.map(({ subject, object, predicates }, edge) => {
    const [from, to] = [rowOf[subject]!, rowOf[object]!];
    const chain: Chain = [];
    const step = Math.sign(to - from);
    let last = nodeItems[subject]!;
    if (step === 0) return chain;
    for (let row = from + step; row !== to + step; row += step) {
      const isSlot = row !== to;
      const width = chain.length === 0 ? labelWidth(predicates) : 8;
      const item: Item = isSlot ? { group: `edge ${edge}`, width, joined: [], x: 0 } : nodeItems[object]!;
      if (isSlot) {
        rows[row]!.push(item);
        chain.push({ item, row });
      }
      last.joined.push(item);
      item.joined.push(last);
      last = item;
    }
    return chain;
  });
  return { rows, nodeItems, chains };
}

function touches({ subject, object }: Edge, node: number): boolean {
  return subject === node || object === node;
}

/** Sorts the rows so that few edges cross; items that stand beside each other move together. */
function orderRows(rows: Item[][]): void {
  const place = new Map<Item, number>();
  const rowNumber = new Map<Item, number>();
  const number = (row: Item[]): void => row.forEach((item, i) => place.set(item, i - (row.length - 1) / 2));
  rows.forEach((row, r) => {
    number(row);
    row.forEach((item) => rowNumber.set(item, r));
  });
  let best = rows.map((row) => [...row]);
  let fewest = countCrossings(rows, rowNumber);
  for (let sweep = 0; sweep < 8 && fewest > 0; sweep++) {
    const downwards = sweep % 2 === 0;
    const order = rows.map((_, r) => r);
    if (!downwards) order.reverse();
    for (const r of order) {
      const towards = r + (downwards ? -1 : 1);
      const pull = (item: Item): number[] =>
        item.joined.filter((other) => rowNumber.get(other) === towards).map((other) => place.get(other)!);
      const groups = groupTogether(rows[r]!).map((group) => {
        const pulls = group.flatMap(pull);
        const own = mean(group.map((item) => place.get(item)!));
        return { group, at: pulls.length > 0 ? mean(pulls) : own };
      });
      groups.sort((a, b) => a.at - b.at);
      rows[r] = groups.flatMap(({ group }) => group);
      number(rows[r]!);
    }
    const crossings = countCrossings(rows, rowNumber);
    if (crossings < fewest) {
      fewest = crossings;
      best = rows.map((row) => [...row]);
    }
  }
  best.forEach((row, r) => (rows[r] = row));
}

function groupTogether(row: readonly Item[]): Item[][] {
  const groups = new Map<string, Item[]>();
  for (const item of row) groups.set(item.group, [...(groups.get(item.group) ?? []), item]);
  return [...groups.values()];
}

/**
 * Gives every item its x: as near as can be to the middle of what it is joined with, in the order of its row and with
 * room between.
 */
function placeItems(rows: readonly Item[][], edges: readonly Edge[]): void {
  const offsets = rows.map((row) => {
    let at = 0;
    return row.map((item, i) => (at += i === 0 ? 0 : distanceBetween(row[i - 1]!, item, edges)));
  });
  rows.forEach((row, r) => row.forEach((item, i) => (item.x = offsets[r]![i]! - offsets[r]!.at(-1)! / 2)));
  for (let pass = 0; pass < 24; pass++) {
    const order = rows.map((_, r) => r);
    if (pass % 2 === 1) order.reverse();
    for (const r of order) {
      const row = rows[r]!;
      const wanted = row.map((item, i) => {
        if (item.joined.length > 0) return mean(item.joined.map(({ x }) => x)) - offsets[r]![i]!;
        // Not held by other rows: close to its group, else to its neighbours, else to where the row is.
        const near = [i - 1, i + 1].filter((place) => row[place]);
        const own = near.filter((place) => row[place]!.group === item.group);
        const pulls = (own.length > 0 ? own : near).map((place) => row[place]!.x - offsets[r]![place]!);
        return pulls.length > 0 ? mean(pulls) : item.x;
      });
      risingFit(wanted).forEach((value, i) => (rows[r]![i]!.x = value + offsets[r]![i]!));
    }
  }
}

/** From the middle of an item to that of the next: room for both, and for the label of an edge between them. */
function distanceBetween(a: Item, b: Item, edges: readonly Edge[]): number {
  const between = edges.filter(
    ({ subject, object }) => (subject === a.node && object === b.node) || (subject === b.node && object === a.node),
  );
  const isFan = a.node !== undefined && b.node !== undefined && a.joined.some((item) => b.joined.includes(item));
  const room = Math.max(isFan ? FAN_GAP : NODE_GAP, ...between.map(({ predicates }) => labelWidth(predicates) + 26));
  return (a.width + b.width) / 2 + room;
}

/** The rising sequence nearest to the values in least squares (pool adjacent violators). */
function risingFit(values: readonly number[]): number[] {
  const pools: { sum: number; count: number }[] = [];
  for (const value of values) {
    let pool = { sum: value, count: 1 };
    for (let last = pools.at(-1); last && last.sum / last.count > pool.sum / pool.count; last = pools.at(-1)) {
      pool = { sum: last.sum + pool.sum, count: last.count + pool.count };
      pools.pop();
    }
    pools.push(pool);
  }
  return pools.flatMap(({ sum, count }) => new Array<number>(count).fill(sum / count));
}

type Point = { readonly x: number; readonly y: number };
/** A path, and where its label may stand, the best place first. */
type Line = { readonly path: string; readonly labels: readonly Point[] };

/** Between two nodes of a row: straight if they are neighbours, else an arc over what is between. */
function drawBeside(from: PlacedNode, to: PlacedNode, arc: boolean, shift: number): Line {
  const middle = (from.x + to.x) / 2;
  if (arc) {
    const top = from.y - NODE_HEIGHT / 2;
    const peak = top - ARC_HEIGHT + shift * 6;
    const path = `M${from.x} ${top}C${from.x} ${peak} ${to.x} ${peak} ${to.x} ${top - 2}`;
    return { path, labels: [{ x: middle, y: top + (peak - top) * 0.75 }] };
  }
  const side = Math.sign(to.x - from.x);
  const y = from.y + shift * 9;
  const path = `M${from.x + (side * from.width) / 2} ${y}H${to.x - side * (to.width / 2 + 2)}`;
  return { path, labels: [{ x: (from.x + (side * from.width) / 2 + to.x - (side * to.width) / 2) / 2, y }] };
}

/** Where edges between rows meet their nodes: side by side in the order of where they come from. Keys: `edge node`. */
function spreadEnds(
  edges: readonly Edge[],
  nodes: readonly PlacedNode[],
  chains: readonly Chain[],
): Map<string, number> {
  const ends = new Map<string, number>();
  nodes.forEach((node, n) => {
    const meeting = edges.flatMap((edge, i) => {
      if (!touches(edge, n)) return [];
      const isSubject = edge.subject === n;
      const other = nodes[isSubject ? edge.object : edge.subject]!;
      const slot = isSubject ? chains[i]![0] : chains[i]!.at(-1);
      return other.y === node.y ? [] : [{ i, isUp: other.y < node.y, x: slot?.item.x ?? other.x }];
    });
    const room = Math.max(0, node.width / 2 - 14);
    for (const isUp of [true, false]) {
      const side = meeting.filter((end) => end.isUp === isUp).sort((a, b) => a.x - b.x);
      side.forEach(({ i, x }, place) => {
        const lean = Math.max(-room, Math.min(room, (x - node.x) * 0.35));
        const spread =
          side.length > 1 ? (place / (side.length - 1) - 0.5) * Math.min(2 * room, 22 * (side.length - 1)) : lean;
        ends.set(`${i} ${n}`, round(node.x + spread));
      });
    }
  });
  return ends;
}

/** Between two rows, by way of the slots; `crowding` is by how many edges `to` has more than `from`. */
function drawBetween(from: Place, to: Place, slots: readonly Point[], crowding: number): Line {
  const down = Math.sign(to.y - from.y);
  const half = (down * NODE_HEIGHT) / 2;
  const start = { x: from.x, y: from.y + half };
  const stop = { x: to.x, y: to.y - half - 2 * down };
  const stations = [
    start,
    ...slots.flatMap(({ x, y }) => [
      { x, y: y - half },
      { x, y: y + half },
    ]),
    stop,
  ];
  let path = `M${start.x} ${start.y}`;
  for (let i = 1; i < stations.length; i++) {
    const [a, b] = [stations[i - 1]!, stations[i]!];
    const middle = round((a.y + b.y) / 2);
    path += i % 2 === 0 ? `V${b.y}` : `C${a.x} ${middle} ${b.x} ${middle} ${b.x} ${b.y}`;
  }
  if (slots.length > 0) return { path, labels: [slots[0]!] };
  const best = 0.5 - 0.15 * Math.sign(crowding);
  const labels = [best, 0.5, 0.35, 0.65, 0.2, 0.8].map((t) => curvePoint(start, stop, t));
  return { path, labels };
}

/** On the curve between two points that leaves and arrives upright. */
function curvePoint(a: Point, b: Point, t: number): Point {
  const s = 1 - t;
  const early = s ** 3 + 3 * s * s * t; // weight of the first two control points
  const middle = (a.y + b.y) / 2;
  return {
    x: a.x * early + b.x * (1 - early),
    y: s ** 3 * a.y + 3 * s * t * middle + t ** 3 * b.y,
  };
}

function countCrossings(rows: readonly Item[][], rowNumber: ReadonlyMap<Item, number>): number {
  let crossings = 0;
  rows.slice(0, -1).forEach((row, r) => {
    const next = rows[r + 1]!;
    const lines = row.flatMap((item, a) =>
      item.joined.filter((other) => rowNumber.get(other) === r + 1).map((other) => [a, next.indexOf(other)] as const),
    );
    lines.forEach(([a, b], i) => {
      for (const [c, d] of lines.slice(i + 1)) if ((a - c) * (b - d) < 0) crossings++;
    });
  });
  return crossings;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
