import { sceneText, type SceneGraph } from '@sgdiff/sg-schema';
import { namedDifference, objectNames, relationText } from './named-difference';
import { layoutGraph, type Place, type PlacedEdge, type PlacedNode } from './graph-layout';

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An SVG drawing of a graph.
 *
 * @param before Where given, what is new since that graph is marked (class `new`).
 */
export function drawGraph(graph: SceneGraph, before?: SceneGraph): SVGSVGElement {
  const layout = layoutGraph(graph);
  const difference = before && namedDifference(before, graph);
  const names = objectNames(graph);
  const newRelations = new Set(difference?.addedRelations.map(relationText));
  const isNewEdge = ({ subject, object, predicates }: PlacedEdge): boolean =>
    predicates.some((predicate) => newRelations.has(`${names[subject]} ${predicate} ${names[object]}`));
  const isNewNode = ({ name }: PlacedNode): boolean => difference?.addedObjects.includes(name) ?? false;

  const svg = element('svg', {
    class: 'graph',
    viewBox: `0 0 ${layout.width} ${layout.height}`,
    width: layout.width,
    height: layout.height,
    role: 'img',
    'aria-label': `Scene graph: ${sceneText(graph)}`,
  });
  svg.append(arrowHead('arrow'), arrowHead('arrow-new'));
  for (const edge of layout.edges) {
    const isNew = isNewEdge(edge);
    const marker = `url(#${isNew ? 'arrow-new' : 'arrow'})`;
    svg.append(element('path', { class: isNew ? 'edge new' : 'edge', d: edge.path, 'marker-end': marker }));
  }
  for (const edge of layout.edges) {
    svg.append(textBox(isNewEdge(edge) ? 'label new' : 'label', edge.text, edge.label, 4));
  }
  for (const node of layout.nodes)
    svg.append(textBox(isNewNode(node) ? 'node new' : 'node', node.name, node, node.height / 2));
  return svg;
}

function arrowHead(id: string): SVGElement {
  const marker = element('marker', {
    id,
    class: id,
    viewBox: '0 0 8 8',
    refX: 6,
    refY: 4,
    markerWidth: 7,
    markerHeight: 7,
    orient: 'auto',
  });
  marker.append(element('path', { d: 'M0 0.5 7 4 0 7.5Z' }));
  return marker;
}

function textBox(className: string, text: string, { x, y, width, height }: Place, radius: number): SVGElement {
  const group = element('g', { class: className });
  group.append(element('rect', { x: x - width / 2, y: y - height / 2, width, height, rx: radius }));
  const words = element('text', { x, y, 'text-anchor': 'middle', 'dominant-baseline': 'central' });
  words.textContent = text;
  group.append(words);
  return group;
}

function element<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Record<string, string | number>,
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
