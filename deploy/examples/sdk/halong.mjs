// A node's local API from Node.js 20, without dependencies and from its description alone.
//
//     node halong.mjs publish http://127.0.0.1:8446 TOKEN_FILE NOTICE_FILE [SOURCE]
//     node halong.mjs read    http://127.0.0.1:8446 TOKEN_FILE [PLACE]

import { readFile } from "node:fs/promises";

const [command, url, tokenFile, ...rest] = process.argv.slice(2);
const token = (await readFile(tokenFile, "utf8")).trim();
const api = await (await fetch(`${url}/openapi.json`)).json();

// Operations are found by their names; where they are is the description's business.
const operations = new Map();
for (const [path, methods] of Object.entries(api.paths))
  for (const [method, operation] of Object.entries(methods))
    operations.set(operation.operationId, { method: method.toUpperCase(), path });

async function call(name, { path = {}, query = {}, body, headers = {} } = {}) {
  const operation = operations.get(name);
  const target = new URL(operation.path.replace(/\{(\w+)\}/g, (_, key) => encodeURIComponent(path[key])), url);
  for (const [key, value] of Object.entries(query)) target.searchParams.set(key, value);
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(target, {
      method: operation.method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.ok) return answer.json();
    const problem = await answer.json();
    // 429 and 503 may pass; every other code says what to correct.
    if (![429, 503].includes(answer.status) || attempt === 5)
      throw new Error(`${problem.code} ${problem.field ?? ""}: ${problem.detail}`);
    await new Promise((wake) => setTimeout(wake, 1000 * Number(answer.headers.get("Retry-After") ?? 1)));
  }
}

if (command === "publish") {
  const notice = JSON.parse(await readFile(rest[0], "utf8"));
  if (rest[1]) notice.source = rest[1];
  const { notices: [sent] } = await call("publishNotices", { body: notice });
  const state = await call("getNotice", { path: { id: sent.id }, query: { stage: "delivered", wait: 30 } });
  console.log(state.stage, state.reference, `${state.delivered} of ${state.receivers}`);
} else {
  let place = Number(rest[0] ?? 0);
  for (let more = true; more; ) {
    const page = await call("readDeliveries", { query: { after: place, limit: 100 } });
    for (const delivery of page.deliveries) {
      console.log("delivery", delivery.place, delivery.reference, JSON.stringify(delivery.notice));
      await call("acknowledgeDelivery", { path: { id: delivery.delivery } });
    }
    ({ place, more } = page);
  }
}
