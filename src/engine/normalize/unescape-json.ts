/** The escapes of a JSON string, on bytes. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const NINE = 0x39;

/**
 * Writes what the string `bytes[start, end)` stands for to `out`, which takes no more, and returns its length; -1: it
 * is no JSON string, or begins with an escaped type mark.
 */
export function unescapeJson(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let length = 0;
  for (let i = start; i < end; ) {
    const byte = bytes[i]!;
    if (byte !== BACKSLASH) {
      out[length++] = byte;
      i++;
      continue;
    }
    const kind = bytes[i + 1]!;
    i += 2;
    switch (kind) {
      case QUOTE:
      case BACKSLASH:
      case 0x2f:
        out[length++] = kind;
        break;
      case 0x62:
        out[length++] = 0x08;
        break;
      case 0x66:
        out[length++] = 0x0c;
        break;
      case 0x6e:
        out[length++] = 0x0a;
        break;
      case 0x72:
        out[length++] = 0x0d;
        break;
      case 0x74:
        out[length++] = 0x09;
        break;
      case 0x75: {
        let code = hex4(bytes, i);
        if (code < 0) return -1;
        i += 4;
        if (code >= 0xd800 && code <= 0xdfff) {
          if (code >= 0xdc00 || bytes[i] !== BACKSLASH || bytes[i + 1] !== 0x75) return -1;
          const low = hex4(bytes, i + 2);
          if (low < 0xdc00 || low > 0xdfff) return -1;
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          i += 6;
        }
        // a type mark written as an escape
        if (length === 0 && code >= 0xf026 && code <= 0xf02e) return -1;
        length = putUtf8(out, length, code);
        break;
      }
      default:
        return -1;
    }
  }
  return length;
}

function hex4(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = at; i < at + 4; i++) {
    const byte = bytes[i]!;
    const digit =
      byte >= ZERO && byte <= NINE
        ? byte - ZERO
        : byte >= 0x61 && byte <= 0x66
          ? byte - 0x57
          : byte >= 0x41 && byte <= 0x46
            ? byte - 0x37
            : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function putUtf8(out: Uint8Array, at: number, code: number): number {
  if (code < 0x80) {
    out[at] = code;
    return at + 1;
  }
  if (code < 0x800) {
    out[at] = 0xc0 | (code >> 6);
    out[at + 1] = 0x80 | (code & 63);
    return at + 2;
  }
  if (code < 0x10000) {
    out[at] = 0xe0 | (code >> 12);
    out[at + 1] = 0x80 | ((code >> 6) & 63);
    out[at + 2] = 0x80 | (code & 63);
    return at + 3;
  }
  out[at] = 0xf0 | (code >> 18);
  out[at + 1] = 0x80 | ((code >> 12) & 63);
  out[at + 2] = 0x80 | ((code >> 6) & 63);
  out[at + 3] = 0x80 | (code & 63);
  return at + 4;
}
