import type { Pixels } from './protocol';

/** The keyword under which the `sgdiff` command looks for a record too. */
export const RECORD_KEYWORD = 'sgdiff';

/**
 * A PNG of the picture with its request record in a text chunk (as ASCII JSON, so that any reader shows it):
 * `sgdiff generate --replay` draws it again.
 */
export async function encodePng({ width, height, data }: Pixels, record: unknown): Promise<Uint8Array<ArrayBuffer>> {
  const { encode } = await import('fast-png');
  return new Uint8Array(
    encode({ width, height, data, depth: 8, channels: 3, text: { [RECORD_KEYWORD]: asciiJson(record) } }),
  );
}

function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
