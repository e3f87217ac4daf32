/** A queue of requests: few at a time, so that a page of many plots leaves connections to the rest of it. */

const MOST = 3; // browsers open six connections to a host for all tabs, and the stream has one

let running = 0;
const waiting: (() => void)[] = [];

/** Runs `task` when there is room; one whose signal was aborted meanwhile is not run. */
export async function queued<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
  if (running >= MOST) await new Promise<void>((go) => waiting.push(go));
  else running++; // else the place of the one that ended is taken over
  try {
    signal.throwIfAborted();
    return await task();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}
