/** A request the picture-book cannot serve: a bad address, an unknown word, a wrong raster. */
export class PictureBookError extends Error {
  override readonly name = 'PictureBookError';
}
