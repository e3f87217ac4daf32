/**
 * Times are told relative to now, with the exact one on hover and in what is copied.
 *
 *     <time datetime="2026-11-27T12:00:00Z">2026-11-27 12:00:00 UTC</time>
 *
 * `data-exact` keeps what the template wrote.
 */
const language = document.documentElement.lang || undefined;
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long" });
const UNITS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const SELECTOR = "time[datetime]:not([data-exact])";

/** For instance "5 min. ago"; seconds are told in tens, so that they do not move all the time. */
export function tellRelative(at: number, now: number): string {
  const seconds = (at - now) / 1000;
  const unit = UNITS.find(([, size]) => Math.abs(seconds) >= size);
  if (unit) return relative.format(Math.trunc(seconds / unit[1]), unit[0]);
  return relative.format(Math.trunc(seconds / 10) * 10, "second");
}

export function tellExact(at: number): string {
  return exact.format(at);
}

function renewTimes(): void {
  const now = Date.now();
  for (const time of document.querySelectorAll<HTMLTimeElement>(SELECTOR)) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const told = tellRelative(at, now);
    if (time.textContent !== told) time.textContent = told;
    if (!time.title) time.title = tellExact(at);
  }
}

function copyExact(): void {
  const selection = getSelection();
  if (selection === null || selection.isCollapsed) return;
  const selected = [...document.querySelectorAll<HTMLTimeElement>(SELECTOR)].filter((time) =>
    selection.containsNode(time, true),
  );
  for (const time of selected) time.textContent = time.dateTime;
  if (selected.length > 0) setTimeout(renewTimes);
}

let awaited = false;
function renewSoon(): void {
  if (awaited) return;
  awaited = true;
  requestAnimationFrame(() => {
    awaited = false;
    renewTimes();
  });
}

renewTimes();
setInterval(() => document.hidden || renewTimes(), 10_000);
document.addEventListener("visibilitychange", () => document.hidden || renewTimes());
document.addEventListener("copy", copyExact);
new MutationObserver((changes) => {
  if (changes.some(({ addedNodes }) => [...addedNodes].some((node) => node instanceof Element))) renewSoon();
}).observe(document.body, { childList: true, subtree: true });
