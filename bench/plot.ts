/** Lines over the number of rows as SVG, drawn by hand: two panels side by side, rows on a logarithmic axis. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [rows: number, value: number])[];
}

export interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
  readonly label: (value: number) => string;
}

const PANEL = { width: 380, height: 300, left: 62, right: 30, top: 34, bottom: 62 } as const;
/** Told apart also by those who see few colours. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const TICKS = 4;

export function plotSvg(panels: readonly Panel[]): string {
  const width = PANEL.width * panels.length;
  const drawn = panels.map((panel, i) => `<g transform="translate(${i * PANEL.width},0)">${draw(panel)}</g>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${PANEL.height}" font-family="sans-serif" font-size="11">
<title>${panels.map(({ title }) => title).join(", ")} by rows</title>
<rect width="${width}" height="${PANEL.height}" fill="#fff"/>
${drawn.join("\n")}
</svg>
`;
}

function draw({ title, series, label }: Panel): string {
  const { width, height, left, right, top, bottom } = PANEL;
  const points = series.flatMap((one) => one.points);
  const decades = points.map(([rows]) => Math.log10(rows));
  const [from, to] = [Math.floor(Math.min(...decades)), Math.ceil(Math.max(...decades))];
  const highest = niceCeiling(Math.max(...points.map(([, value]) => value)));
  const x = (rows: number): number =>
    left + ((Math.log10(rows) - from) / Math.max(1, to - from)) * (width - left - right);
  const y = (value: number): number => height - bottom - (value / highest) * (height - top - bottom);
  const parts = [`<text x="${left}" y="18" font-size="13">${title}</text>`];
  for (let i = 0; i <= TICKS; i++) {
    const value = (highest * i) / TICKS;
    parts.push(
      `<line x1="${left}" x2="${width - right}" y1="${round(y(value))}" y2="${round(y(value))}" stroke="#ddd"/>`,
      `<text x="${left - 6}" y="${round(y(value) + 4)}" text-anchor="end">${label(value)}</text>`,
    );
  }
  for (let decade = from; decade <= to; decade++) {
    const at = round(x(10 ** decade));
    parts.push(
      `<text x="${at}" y="${height - bottom + 16}" text-anchor="middle">${rowsLabel(10 ** decade)}</text>`,
    );
  }
  for (const [i, one] of series.entries()) {
    const colour = COLOURS[i % COLOURS.length]!;
    const places = one.points.map(([rows, value]) => [round(x(rows)), round(y(value))] as const);
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${places.map((place) => place.join(",")).join(" ")}"/>`,
      ...places.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`),
      `<text x="${left + (i % 3) * 105}" y="${height - bottom + 34 + Math.floor(i / 3) * 16}" fill="${colour}">${one.name}</text>`,
    );
  }
  return parts.join("\n");
}

/** The next of 1, 2, 4, 8 with zeros: a quarter of it is a number to read. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 8].find((step) => step * power >= value) ?? 10);
}

function rowsLabel(rows: number): string {
  return rows >= 1e6 ? `${rows / 1e6}M rows` : `${rows / 1000}k rows`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
