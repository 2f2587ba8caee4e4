import type { OwnImage } from '@sgdiff/pipeline';
import { decode, type DecodedPng } from 'fast-png';
import { existsSync, readFileSync } from 'node:fs';
import { CliError } from '../errors';
import { messageOf } from '../files';

/** The pixels of a PNG: 8 bit, RGB, or RGB with an alpha that is left out. */
export function readOwnImage(path: string): OwnImage {
  if (!existsSync(path)) throw new CliError(`The picture ${path} does not exist. Check the path.`);
  let png: DecodedPng;
  try {
    png = decode(readFileSync(path));
  } catch (error) {
    throw new CliError(`The picture ${path} could not be read: ${messageOf(error)}. Expected a PNG.`, { cause: error });
  }
  const { width, height, data, depth, channels, palette } = png;
  if (depth !== 8 || channels < 3 || palette !== undefined) {
    const kind = palette === undefined ? `${depth} bit and ${channels} ${channels === 1 ? 'channel' : 'channels'}` : 'a palette';
    throw new CliError(`The picture ${path}: expected 8 bit RGB, received ${kind}. Convert it.`);
  }
  const pixels = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) pixels[3 * i + c] = data[channels * i + c];
  return { width, height, pixels };
}
