/**
 * Dates and times in text, read as dlt reads them: pendulum 3's ISO 8601 parser, then pendulum's "common"
 * formats (`2024/01/02 03:04`). What this accepts decides which text columns become timestamps.
 *
 * A day is a number of days since 1970-01-01, an instant a number of microseconds since then in UTC.
 */

/** A parsed text. `offsetSeconds` is undefined when the text names no zone. */
export interface IsoParts {
  readonly kind: "datetime" | "date" | "time";
  /** Days since the epoch; 0 for a time. */
  readonly day: number;
  /** Microseconds since midnight; 0 for a date. */
  readonly micros: number;
  readonly offsetSeconds: number | undefined;
}

export const DAY_MICROS = 86_400_000_000;
const DAY_MIN = daysOf(1, 1, 1);
const DAY_MAX = daysOf(9999, 12, 31);

/** Days since the epoch of a valid date in the proleptic Gregorian calendar. */
export function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days of a date that exists in the years 1 to 9999. */
function checkedDays(year: number, month: number, day: number): number | undefined {
  if (year < 1 || year > 9999 || month < 1 || month > 12) return undefined;
  return day < 1 || day > daysInMonth(year, month) ? undefined : daysOf(year, month, day);
}

/** The text as a date, a time or both; undefined when dlt would not read it either. */
export function parseIso(text: string): IsoParts | undefined {
  const first = text.charCodeAt(0);
  // every accepted text starts with a digit or T
  if (!((first >= 0x30 && first <= 0x39) || first === 0x54)) return undefined;
  return new IsoParser(text).parse() ?? parseCommon(text);
}

const COMMON =
  /^(?:(\d{4})(?:[/:]?(\d{2})[/:]?(\d{2}))?)?(?: ?(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(?:[.|,](\d{1,9}))?)?$/;

function parseCommon(text: string): IsoParts | undefined {
  const match = COMMON.exec(text);
  if (match === null || text === "") return undefined;
  const [, year, month = "1", dayOfMonth = "1", hour, minute = "0", second = "0", fraction = "0"] = match;
  const day = year === undefined ? 0 : checkedDays(Number(year), Number(month), Number(dayOfMonth));
  if (day === undefined) return undefined;
  if (hour === undefined) return { kind: "date", day, micros: 0, offsetSeconds: undefined };
  const micros = timeMicros(+hour, +minute, +second, Number(fraction.slice(0, 6).padEnd(6, "0")));
  if (micros === undefined) return undefined;
  return { kind: year === undefined ? "time" : "datetime", day, micros, offsetSeconds: undefined };
}

function timeMicros(hour: number, minute: number, second: number, micros: number): number | undefined {
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  return ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
}

const NEVER = -1;

/** One pass over the text, in the order of pendulum's parser. -1 stands for a failed number. */
class IsoParser {
  readonly #text: string;
  #at = 0;
  /** Whether the date part had dashes; the time part must then have colons. */
  #extended = false;
  #hour = 0;
  #minute = 0;
  #second = 0;
  #micros = 0;
  #offset: number | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): IsoParts | undefined {
    if (this.#is("T")) return this.#time(false) ? this.#result("time", 0) : undefined;
    const century = this.#integer(2);
    if (century === NEVER) return undefined;
    if (this.#is(":")) {
      this.#hour = century;
      this.#extended = true;
      return this.#time(true) ? this.#result("time", 0) : undefined;
    }
    const rest = this.#integer(2);
    if (rest === NEVER) return undefined;
    const day = this.#date(century * 100 + rest);
    if (day === undefined) return undefined;
    if (this.#at >= this.#text.length) return this.#result("date", day);
    return this.#time(false) ? this.#result("datetime", day) : undefined;
  }

  #result(kind: IsoParts["kind"], day: number): IsoParts | undefined {
    if (this.#at < this.#text.length) return undefined;
    const micros = timeMicros(this.#hour, this.#minute, this.#second, this.#micros);
    if (micros === undefined) return undefined;
    return { kind, day, micros, offsetSeconds: this.#offset };
  }

  #is(char: string): boolean {
    return this.#text.charCodeAt(this.#at) === char.charCodeAt(0);
  }

  /** The date ends here: at the end of the text or at the separator of date and time. */
  #dateEnds(): boolean {
    return this.#at >= this.#text.length || this.#is(" ") || this.#is("T");
  }

  #timeEnds(): boolean {
    return this.#at >= this.#text.length || this.#is("Z") || this.#is("+") || this.#is("-");
  }

  #integer(length: number): number {
    let value = 0;
    for (let i = 0; i < length; i += 1) {
      const digit = this.#text.charCodeAt(this.#at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) return NEVER;
      value = value * 10 + digit;
      this.#at += 1;
    }
    return value;
  }

  #date(year: number): number | undefined {
    if (this.#is("-")) {
      this.#at += 1;
      this.#extended = true;
      if (this.#is("W")) return this.#week(year);
      const month = this.#integer(2);
      if (month === NEVER) return undefined;
      if (this.#dateEnds()) return checkedDays(year, month, 1);
      if (this.#is("-")) {
        this.#at += 1;
        const day = this.#integer(2);
        return day === NEVER ? undefined : checkedDays(year, month, day);
      }
      const last = this.#integer(1);
      return last === NEVER ? undefined : ordinalDay(year, month * 10 + last);
    }
    if (this.#is("W")) return this.#week(year);
    const month = this.#integer(2);
    if (month === NEVER) return undefined;
    const tens = this.#integer(1);
    if (tens === NEVER) return undefined;
    if (this.#dateEnds()) return ordinalDay(year, month * 10 + tens);
    const ones = this.#integer(1);
    return ones === NEVER ? undefined : checkedDays(year, month, tens * 10 + ones);
  }

  #week(year: number): number | undefined {
    this.#at += 1;
    const week = this.#integer(2);
    if (week === NEVER) return undefined;
    let weekday = 1;
    if (!this.#dateEnds()) {
      if (this.#extended) {
        if (!this.#is("-")) return undefined;
        this.#at += 1;
      }
      weekday = this.#integer(1);
      if (weekday === NEVER) return undefined;
    }
    if (weekday > 7 || week > 53 || (week > 52 && !isLongYear(year))) return undefined;
    // 4 January is always in week 1; Monday is 1
    const fourth = daysOf(year, 1, 4);
    const day = fourth - weekdayOf(fourth) + (week - 1) * 7 + weekday;
    return day < DAY_MIN || day > DAY_MAX ? undefined : day;
  }

  #time(afterHour: boolean): boolean {
    if (!afterHour) {
      if (!this.#is("T") && !this.#is(" ")) return false;
      this.#at += 1;
      this.#hour = this.#integer(2);
      if (this.#hour === NEVER) return false;
    }
    if (!this.#timeEnds()) {
      const colons = this.#is(":");
      if (colons) this.#at += 1;
      this.#minute = this.#integer(2);
      if (this.#minute === NEVER) return false;
      if (!this.#timeEnds()) {
        if (colons) {
          if (!this.#is(":")) return false;
          this.#at += 1;
        }
        this.#second = this.#integer(2);
        if (this.#second === NEVER || !this.#fraction()) return false;
        // a compact date takes a time with colons only as far as the minute
        if (colons && !this.#extended) return false;
      }
      if (!colons && this.#extended) return false;
    }
    return this.#zone();
  }

  #fraction(): boolean {
    if (!this.#is(".") && !this.#is(",")) return true;
    this.#at += 1;
    let digits = 0;
    let micros = 0;
    for (;;) {
      const digit = this.#text.charCodeAt(this.#at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      // digits past the microsecond are cut, not rounded
      if (digits < 6) micros = micros * 10 + digit;
      digits += 1;
      this.#at += 1;
    }
    for (let i = digits; i < 6; i += 1) micros *= 10;
    this.#micros = micros;
    return digits > 0;
  }

  #zone(): boolean {
    if (this.#is("Z")) {
      this.#at += 1;
      this.#offset = 0;
      return true;
    }
    const minus = this.#is("-");
    if (!minus && !this.#is("+")) return true;
    this.#at += 1;
    const hours = this.#integer(2);
    if (hours === NEVER) return false;
    if (this.#is(":")) this.#at += 1;
    const minutes = this.#at >= this.#text.length ? 0 : this.#integer(2);
    if (minutes === NEVER) return false;
    const total = hours * 60 + minutes;
    if (!minus && total > 24 * 60) return false;
    this.#offset = (minus ? -total : total) * 60;
    return true;
  }
}

function ordinalDay(year: number, ordinal: number): number | undefined {
  if (year < 1 || ordinal < 1 || ordinal > (isLeap(year) ? 366 : 365)) return undefined;
  return daysOf(year, 1, 1) + ordinal - 1;
}

/** Monday is 1, Sunday is 7. */
function weekdayOf(day: number): number {
  return ((((day + 3) % 7) + 7) % 7) + 1;
}

function isLongYear(year: number): boolean {
  const last = (y: number) => (y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400)) % 7;
  return last(year) === 4 || last(year - 1) === 3;
}

/** Microseconds of a day and a time of day, exact: a number while safe (to the year 2255), else a bigint. */
export function instantMicros(day: number, micros: number): number | bigint {
  const sum = day * DAY_MICROS + micros;
  return Number.isSafeInteger(sum) ? sum : BigInt(day) * BigInt(DAY_MICROS) + BigInt(micros);
}

/** The instant of a parsed date or datetime; undefined for a time and outside the years 1 to 9999. */
export function instantOf(parts: IsoParts): number | bigint | undefined {
  if (parts.kind === "time") return undefined;
  const offset = parts.offsetSeconds ?? 0;
  // Python's zones stay within a day
  if (Math.abs(offset) >= 86_400) return undefined;
  const local = parts.micros - offset * 1_000_000;
  const shift = Math.floor(local / DAY_MICROS);
  const day = parts.day + shift;
  return day < DAY_MIN || day > DAY_MAX ? undefined : instantMicros(day, local - shift * DAY_MICROS);
}

/** Seconds since the epoch as an instant, rounded half to even as Python does; undefined out of range. */
export function instantOfSeconds(seconds: number): number | bigint | undefined {
  if (!Number.isFinite(seconds)) return undefined;
  let whole = Math.trunc(seconds);
  let micros = roundHalfEven((seconds - whole) * 1e6);
  if (micros >= 1e6) {
    whole += 1;
    micros -= 1e6;
  } else if (micros < 0) {
    whole -= 1;
    micros += 1e6;
  }
  const day = Math.floor(whole / 86_400);
  if (day < DAY_MIN || day > DAY_MAX) return undefined;
  return instantMicros(day, (whole - day * 86_400) * 1_000_000 + micros);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The day of an instant, in UTC. */
export function dayOfInstant(micros: number | bigint): number {
  if (typeof micros === "number") return Math.floor(micros / DAY_MICROS);
  const unit = BigInt(DAY_MICROS);
  const day = micros / unit;
  return Number(micros < 0n && day * unit !== micros ? day - 1n : day);
}

/** `2024-01-02` */
export function formatDate(day: number): string {
  const z = day + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1, 2)}`;
}

/** `03:04:05`, with six digits of fraction unless it is zero. */
export function formatTime(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  const fraction = micros - seconds * 1_000_000;
  const clock = `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}`;
  return fraction === 0 ? clock : `${clock}.${pad(fraction, 6)}`;
}

/** `2024-01-02T03:04:05+00:00`: dlt writes the offset, never `Z`. */
export function formatTimestamp(micros: number | bigint): string {
  const day = dayOfInstant(micros);
  const rest =
    typeof micros === "number"
      ? micros - day * DAY_MICROS
      : Number(micros - BigInt(day) * BigInt(DAY_MICROS));
  return `${formatDate(day)}T${formatTime(rest)}+00:00`;
}

function pad(value: number, length: number): string {
  return String(value).padStart(length, "0");
}
