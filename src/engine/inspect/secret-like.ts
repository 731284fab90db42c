/** Does a cell look like a secret? Names and forms that are common; a guess that errs on the side of hiding. */

const NAMES =
  /(^|_)(password|passwd|pwd|secret|token|api_?key|access_?key|private_?key|credential|credentials|auth|authorization|cookie|session_?id|otp|pin|ssn|iban|card_?number|cvv)(_|$)/i;
const FORMS: readonly RegExp[] = [
  /^eyJ[\w-]+\.[\w-]+\./, // JSON web token
  /^(sk|pk|rk)_(live|test)_/, // Stripe
  /^(ghp|gho|ghs|ghu|github_pat)_/, // GitHub
  /^xox[abprs]-/, // Slack
  /^(AKIA|ASIA)[A-Z0-9]{16}$/, // AWS
  /^sk-[\w-]{20,}$/,
  /^AIza[\w-]{35}$/, // Google
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /^[a-z][a-z0-9+.-]*:\/\/[^/\s:@]+:[^/\s@]+@/i, // a URL with a password
];

export function looksSecret(column: string, value: string): boolean {
  return NAMES.test(column) || FORMS.some((form) => form.test(value));
}
