/** The free choices of a sprite: small integers that each sprite reads in its own way. */
export type Look = { readonly colour: number; readonly form: number };
