/** The forms in which a secret turns up: in URLs, headers, JSON, pages and dumps, besides as it is. */

/** Characters of a base64 form that are enough to be the secret's and nobody else's. */
const BASE64_LENGTH_MIN = 8;

export function formsOf(secret: string): string[] {
  const percent = encodeURIComponent(secret);
  const forms = [
    secret,
    percent,
    percent.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    // as forms are sent
    percent.replaceAll("%20", "+"),
    new URLSearchParams({ _: secret }).toString().slice(2),
    JSON.stringify(secret).slice(1, -1),
    secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;"),
    Buffer.from(secret).toString("hex"),
    Buffer.from(secret).toString("hex").toUpperCase(),
    ...base64Forms(secret),
  ];
  return [...new Set(forms)];
}

/** Also as a part of something longer, `user:password` of a Basic header: what is before it shifts the letters. */
function base64Forms(secret: string): string[] {
  const whole = Buffer.from(secret);
  const forms = [whole.toString("base64")];
  for (const before of [0, 1, 2]) {
    const letters = Buffer.concat([Buffer.alloc(before), whole]).toString("base64");
    // the letters that hold bits of the secret only
    const first = Math.ceil((before * 8) / 6);
    const end = Math.floor(((before + whole.byteLength) * 8) / 6);
    const own = letters.slice(first, end);
    if (own.length >= BASE64_LENGTH_MIN) forms.push(own);
  }
  return forms.flatMap((form) => [form, form.replaceAll("+", "-").replaceAll("/", "_")]);
}
