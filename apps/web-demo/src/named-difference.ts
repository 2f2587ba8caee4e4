import type { SceneGraph } from '@sgdiff/sg-schema';

/** What one graph has that another has not. Objects by name (`sheep 2`), relations as `sheep 2 by sheep`. */
export type NamedDifference = {
  readonly addedObjects: readonly string[];
  readonly removedObjects: readonly string[];
  readonly addedRelations: readonly NamedRelation[];
  readonly removedRelations: readonly NamedRelation[];
};

export type NamedRelation = { readonly subject: string; readonly predicate: string; readonly object: string };

/** A name for each object: its word, with a number from the second of its kind on, as in the text form. */
export function objectNames({ objects }: Pick<SceneGraph, 'objects'>): string[] {
  const seen = new Map<string, number>();
  return objects.map((word) => {
    const number = (seen.get(word) ?? 0) + 1;
    seen.set(word, number);
    return number === 1 ? word : `${word} ${number}`;
  });
}

export function namedRelations(graph: SceneGraph): NamedRelation[] {
  const names = objectNames(graph);
  return graph.relationships.map(([subject, predicate, object]) => ({
    subject: names[subject]!,
    predicate,
    object: names[object]!,
  }));
}

export function relationText({ subject, predicate, object }: NamedRelation): string {
  return `${subject} ${predicate} ${object}`;
}

export function namedDifference(before: SceneGraph, after: SceneGraph): NamedDifference {
  const [namesBefore, namesAfter] = [objectNames(before), objectNames(after)];
  const [relationsBefore, relationsAfter] = [namedRelations(before), namedRelations(after)];
  const lacks = (relations: readonly NamedRelation[], wanted: NamedRelation): boolean =>
    !relations.some((relation) => relationText(relation) === relationText(wanted));
  return {
    addedObjects: namesAfter.filter((name) => !namesBefore.includes(name)),
    removedObjects: namesBefore.filter((name) => !namesAfter.includes(name)),
    addedRelations: relationsAfter.filter((relation) => lacks(relationsBefore, relation)),
    removedRelations: relationsBefore.filter((relation) => lacks(relationsAfter, relation)),
  };
}

/**
 * The edit that leads from one graph to another, in short phrases: `zebra → sheep`, `+ tree behind sheep`,
 * `boat in ocean → on grass`, `− kite`. Empty if nothing changed.
 */
export function describeEdit(before: SceneGraph, after: SceneGraph): string[] {
  const { addedObjects, removedObjects, addedRelations, removedRelations } = namedDifference(before, after);
  const phrases: string[] = [];
  const touches = (relation: NamedRelation, names: readonly string[]): boolean =>
    names.includes(relation.subject) || names.includes(relation.object);

  const renamed = addedObjects.length === 1 && removedObjects.length === 1;
  if (renamed) phrases.push(`${removedObjects[0]} → ${addedObjects[0]}`);
  const told = new Set<NamedRelation>();
  if (!renamed) {
    for (const name of addedObjects) {
      const relation = addedRelations.find(({ subject }) => subject === name);
      if (relation) told.add(relation);
      phrases.push(`+ ${relation ? relationText(relation) : name}`);
    }
    for (const name of removedObjects) phrases.push(`− ${name}`);
  }
  // Relations of renamed objects come and go with the name; of new and lost objects, those beyond the one already told.
  const added = addedRelations.filter(
    (relation) => !told.has(relation) && !(renamed && touches(relation, addedObjects)),
  );
  const removed = removedRelations.filter((relation) => !touches(relation, removedObjects));
  for (const now of added) {
    const place = removed.findIndex(
      ({ subject, object }) => subject === now.subject || (subject === now.object && object === now.subject),
    );
    const was = place < 0 ? undefined : removed.splice(place, 1)[0];
    if (!was) phrases.push(`+ ${relationText(now)}`);
    else if (was.subject === now.subject) phrases.push(`${relationText(was)} → ${now.predicate} ${now.object}`);
    else phrases.push(`${relationText(was)} → ${relationText(now)}`);
  }
  for (const relation of removed) phrases.push(`− ${relationText(relation)}`);
  return phrases;
}
