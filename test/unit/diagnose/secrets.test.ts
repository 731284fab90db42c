import { describe, expect, it } from "vitest";
import { classify } from "../../../src/engine/diagnose/classify.ts";
import { withoutSecrets } from "../../../src/engine/diagnose/error-text.ts";
import { ERROR_CORPUS } from "../../support/error-corpus.ts";

const CANARY = "Zq7canaryT0psecret99";
const PLACES: readonly string[] = [
  `postgresql://loader:${CANARY}@db.example.com:5432/app`,
  `postgresql://loader:p@ss${CANARY}@db.example.com/app`,
  `password=${CANARY}`,
  `"api_key": "${CANARY}"`,
  `DESTINATION__POSTGRES__CREDENTIALS__PASSWORD='${CANARY}'`,
  `Authorization: Bearer ${CANARY}`,
  `aws_secret_access_key = ${CANARY}`,
  `https://api.example.com/x?token=${CANARY}&page=2`,
  `sk_live_${CANARY}`,
  `eyJ${CANARY}abcdef.eyJabc.${CANARY}`,
  `client_secret: ${CANARY},`,
];

describe("a secret in a pasted text", () => {
  for (const place of PLACES) {
    it(`is taken out of ${place.replaceAll(CANARY, "…")}`, () => {
      expect(withoutSecrets(`before ${place} after`)).not.toContain(CANARY);
    });
  }

  it("is in no part of any answer, nor is a value of the data", () => {
    for (const [, text] of ERROR_CORPUS) {
      const { candidates, ...rest } = classify(
        `${PLACES.join("\n")}\n${text}\nKey (email)=(${CANARY}) exists`,
      );
      expect(JSON.stringify([candidates.map((each) => each.pattern.code), rest])).not.toContain(CANARY);
    }
  });
});
