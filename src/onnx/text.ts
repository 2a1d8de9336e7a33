// Names as text, without loss: bytes that are not UTF-8 become lone surrogates U+DC80 to U+DCFF, as
// in Python's "surrogateescape" (PEP 383), and come out as the same bytes.

const ESCAPE = 0xdc00;
const encoder = new TextEncoder();

export function decodeText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString('utf8');
  return text.includes('\ufffd') ? decodeEscaped(buffer) : text;
}

function decodeEscaped(bytes: Buffer): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at] as number);
    const text = bytes.toString('utf8', at, at + length);
    const isValid =
      length > 0 && at + length <= bytes.length && encoder.encode(text).length === length;
    if (isValid && bytes.compare(encoder.encode(text), 0, length, at, at + length) === 0) {
      parts.push(text);
      at += length;
    } else {
      parts.push(String.fromCharCode(ESCAPE + (bytes[at] as number)));
      at += 1;
    }
  }
  return parts.join('');
}

/** Bytes of the UTF-8 sequence that the byte begins; 0 if it begins none. */
function sequenceLength(byte: number): number {
  if (byte < 0x80) return 1;
  if (byte < 0xc2) return 0;
  if (byte < 0xe0) return 2;
  if (byte < 0xf0) return 3;
  return byte < 0xf5 ? 4 : 0;
}

export function encodeText(text: string): Uint8Array {
  return /\p{Surrogate}/u.test(text) ? encodeEscaped(text) : encoder.encode(text);
}

function encodeEscaped(text: string): Uint8Array {
  const parts = Array.from(text, (character) => {
    const code = character.codePointAt(0) as number;
    return code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff
      ? Uint8Array.of(code - ESCAPE)
      : encoder.encode(character);
  });
  return Buffer.concat(parts);
}
