/** Points as `web/points.py` sends them: u32 length, JSON, then ticks and values of each series. */

export type Span = [from: number, to: number];

export interface Series {
  topic: string;
  /** Epoch milliseconds, rising. */
  times: Float64Array;
  /** One column of a line; least, greatest and average of a band. NaN in gaps. */
  values: Float64Array[];
  /** The last value; two points stand for a column, and the second need not be its last. */
  last: number;
  late: Span[];
  open: Span[];
}

export interface Points {
  policy: string;
  keep: string;
  form: "line" | "band";
  from: number;
  to: number;
  series: Series[];
  gaps: [from: number, to: number, reason: string][];
}

interface Head extends Omit<Points, "series"> {
  step: number;
  series: { topic: string; n: number; base: number; last: number | null; late?: Span[]; open?: Span[] }[];
}

export function decode(data: ArrayBuffer): Points {
  const length = new DataView(data).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))) as Head;
  let at = 4 + length;
  const columns = head.form === "band" ? 3 : 1;
  const series = head.series.map(({ topic, n, base, last, late = [], open = [] }) => {
    const ticks = new Uint32Array(data, at, n);
    at += 4 * n;
    const values = Array.from({ length: columns }, () => {
      const column = Float64Array.from(new Float32Array(data, at, n), (value) => value + base);
      at += 4 * n;
      return column;
    });
    return { topic, times: Float64Array.from(ticks, (tick) => head.from + tick * head.step), values, last: last ?? NaN, late, open };
  });
  return { ...head, series };
}

/** Points that stand in an attribute, in base64. */
export function decoded(text: string): Points {
  return decode(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
}

/** Asks for the points of topics within a range, in as many columns as the plot has pixels. */
export async function load(
  url: string,
  topics: readonly string[],
  range: Span | null,
  columns: number,
  signal: AbortSignal,
): Promise<Points> {
  const query = new URLSearchParams(topics.map((topic) => ["topic", topic]));
  query.set("columns", String(Math.max(50, Math.min(4000, Math.round(columns)))));
  if (range !== null) {
    query.set("from", String(Math.floor(range[0]) / 1000));
    query.set("to", String(Math.ceil(range[1]) / 1000));
  }
  const answer = await fetch(`${url}${url.includes("?") ? "&" : "?"}${query}`, { signal });
  if (!answer.ok) throw new Error(await reason(answer));
  return decode(await answer.arrayBuffer());
}

async function reason(answer: Response): Promise<string> {
  const problem = (await answer.json().catch(() => ({}))) as { detail?: string };
  return problem.detail ?? `${answer.status} ${answer.statusText}`;
}

/** Where a series has NaN: from the point before to the point behind. */
export function gapsOf({ times, values }: Series): Span[] {
  const found: Span[] = [];
  const column = values.at(-1);
  column?.forEach((value, i) => {
    const [before, after] = [times[i - 1], times[i + 1]];
    if (Number.isNaN(value) && before !== undefined && after !== undefined) found.push([before, after]);
  });
  return found;
}
