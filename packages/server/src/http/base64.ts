const ALPHABET = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const PAD = 61;

/** The bytes in base64 (RFC 4648, section 4), padded, as ASCII. */
export function toBase64(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  const text = new Uint8Array(Math.ceil(length / 3) * 4);
  const whole = length - (length % 3);
  let to = 0;
  for (let from = 0; from < whole; from += 3) {
    const bits = ((bytes[from] as number) << 16) | ((bytes[from + 1] as number) << 8) | (bytes[from + 2] as number);
    text[to++] = ALPHABET[bits >> 18] as number;
    text[to++] = ALPHABET[(bits >> 12) & 63] as number;
    text[to++] = ALPHABET[(bits >> 6) & 63] as number;
    text[to++] = ALPHABET[bits & 63] as number;
  }
  if (whole === length) return text;
  const isTwo = length - whole === 2;
  const bits = ((bytes[whole] as number) << 16) | (isTwo ? (bytes[whole + 1] as number) << 8 : 0);
  text[to++] = ALPHABET[bits >> 18] as number;
  text[to++] = ALPHABET[(bits >> 12) & 63] as number;
  text[to++] = isTwo ? (ALPHABET[(bits >> 6) & 63] as number) : PAD;
  text[to] = PAD;
  return text;
}
