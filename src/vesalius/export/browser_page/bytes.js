/** Bytes in and out: files, gzip and deflate, with the browser's own streams. */

/** Whether bytes are gzip, by their content. */
export function isGzip(bytes) {
  return bytes.length > 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Read a stream to its end, or as far as is wanted.
 *
 * `limit(start)` is asked with what has been read so far until it says how many bytes there have to be (it may say
 * `undefined` while it cannot know). What lies behind them is not read: a file cannot grow beyond what it declares.
 */
export async function readStream(stream, limit) {
  const reader = stream.getReader();
  const parts = [];
  let held = 0;
  let wanted;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      held += value.length;
      if (wanted === undefined && (wanted = limit(joined(parts, held))) === undefined && held > 1 << 20)
        throw new Error("its header could not be read");
      if (held >= wanted) break;
    }
  } finally {
    reader.cancel().catch(() => {}); // a broken stream cannot be cancelled, and has said so already
  }
  return joined(parts, held);
}

function joined(parts, size) {
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Bytes through a stream that expands ("gzip", "deflate"); `limit` as for `readStream`. */
export async function expanded(bytes, format, limit) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
  try {
    return await readStream(stream, limit);
  } catch (error) {
    if (error instanceof TypeError) throw new Error("it is damaged or cut off", { cause: error });
    throw error;
  }
}

/** Bytes through a stream that compresses ("gzip", "deflate"). */
export async function compressed(bytes, format) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Refuse an image that a page cannot hold. */
export function refuseUnholdable(values) {
  const most = 512 * 2 ** 20;
  if (!(values <= most))
    throw new Error(`it holds ${Math.round(values / 2 ** 20)} million values; a page can hold ${most / 2 ** 20} million`);
}
