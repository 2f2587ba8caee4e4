/** Keeps things that are freed together, the newest first. */
export type Owner = {
  /** Takes a thing over and gives it back. */
  own<T extends { dispose(): void }>(thing: T): T;
  /** Frees what it owns. Harmless when repeated. */
  dispose(): void;
};

export function createOwner(): Owner {
  const things: { dispose(): void }[] = [];
  return {
    own(thing) {
      things.push(thing);
      return thing;
    },
    dispose() {
      for (const thing of things.splice(0).reverse()) thing.dispose();
    },
  };
}
