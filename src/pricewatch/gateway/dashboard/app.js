// The live page: log in, follow the feed, resume after every loss, and never let blind look like quiet.

const MOST_SIGNALS = 200;
const MOST_POINTS = 60;
const HOUR = 3_600_000;
const find = (id) => document.getElementById(id);
const money = (text) => {
  if (text === null || text === undefined) return "–";
  const [whole, part] = String(text).split(".");
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",") + (part === undefined ? "" : `.${part}`);
};
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

// -- state ------------------------------------------------------------------------------------------------------------

const markets = new Map(); // key -> { row, price, points, received, state }
const signals = new Map(); // id -> { at, row }
const latencies = [];
let socket = null;
let cursor = null; // { epoch, seq }: where to resume
let attempt = 0;
let retryTimer = 0;
let lastFrame = 0;
let patience = 15_000;
let skew = 0; // our clock minus the server's, ms
let parts = {};
const alarms = { lost: "", parts: "", missed: "" }; // the first that is set is shown
let wanted = false;
let byKey = false; // how to log in

// -- logging in -------------------------------------------------------------------------------------------------------

async function begin() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  put(find("zone"), zone === "UTC" ? "Times in UTC" : `Times in ${zone} and UTC`);
  try {
    const answer = await fetch("/api/v1/session", { cache: "no-store" });
    const who = answer.ok ? (await answer.json()).account : null;
    if (who) return enter(who);
  } catch {
    // The service is away: the form says so when it is used.
  }
  showLogin("");
}

function showLogin(message) {
  wanted = false;
  clearTimeout(retryTimer);
  socket?.close();
  find("live").hidden = find("who").hidden = true;
  find("login").hidden = false;
  put(find("login-error"), message);
  setLink("off", "Not connected");
  for (const kind of Object.keys(alarms)) setAlarm(kind, "");
  (byKey ? find("key") : find("name")).focus();
}

find("login-way").addEventListener("click", () => {
  byKey = !byKey;
  find("by-key").hidden = !byKey;
  find("by-name").hidden = byKey;
  for (const id of ["name", "password"]) find(id).disabled = byKey;
  find("key").disabled = !byKey;
  find("key").required = byKey;
  find("login-way").setAttribute("aria-pressed", String(byKey));
  put(find("login-way"), byKey ? "Use name and password instead" : "Use an API key instead");
  showLogin("");
});

function enter(who) {
  find("login").hidden = true;
  find("live").hidden = find("who").hidden = false;
  put(find("account"), who.role === "user" ? who.name : `${who.name} (${who.role})`);
  wanted = true;
  attempt = 0;
  connect();
}

find("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = find(byKey ? "key" : "password");
  const button = find("login-button");
  const proof = byKey ? { key: field.value.trim() } : { name: find("name").value.trim(), password: field.value };
  button.disabled = true;
  try {
    const answer = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(proof),
    });
    const body = await answer.json();
    if (answer.ok) {
      field.value = "";
      enter(body);
    } else {
      put(find("login-error"), body.detail ?? `The service answered ${answer.status}.`);
      field.select();
    }
  } catch {
    put(find("login-error"), "The service cannot be reached.");
  } finally {
    button.disabled = false;
  }
});

find("logout").addEventListener("click", async () => {
  wanted = false;
  await fetch("/api/v1/session", { method: "DELETE" }).catch(() => null);
  cursor = null;
  for (const map of [markets, signals]) map.clear();
  find("market-rows").replaceChildren();
  find("signal-rows").replaceChildren();
  showLogin("");
});

// -- the feed ---------------------------------------------------------------------------------------------------------

function connect() {
  clearTimeout(retryTimer);
  const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/v1`;
  const mine = new WebSocket(address, "pricewatch.v1");
  socket = mine;
  lastFrame = Date.now();
  setLink(attempt ? "lost" : "off", attempt ? "Reconnecting…" : "Connecting…");
  mine.addEventListener("open", () => {
    const ask = (channel, params, id) =>
      mine.send(JSON.stringify({ method: "subscribe", params: { channel, ...params }, req_id: id }));
    ask("ticker", { symbols: ["*"] }, 1);
    ask("signals", cursor ? { symbols: ["*"], after: cursor } : { symbols: ["*"] }, 2);
    ask("status", {}, 3);
  });
  mine.addEventListener("message", (event) => {
    if (socket !== mine) return;
    lastFrame = Date.now();
    take(JSON.parse(event.data));
  });
  mine.addEventListener("close", (event) => {
    if (socket === mine) lost(event.code);
  });
}

async function lost(code) {
  socket = null;
  if (!wanted) return;
  if (code === 4001) return showLogin("Your session has ended. Log in again.");
  attempt += 1;
  drawAges();
  const wait = lost.after ?? Math.random() * Math.min(15_000, 500 * 2 ** attempt);
  lost.after = undefined;
  setLink("lost", "Connection lost");
  setAlarm("lost", "Connection lost: prices and signals below may be out of date. Reconnecting…");
  retryTimer = setTimeout(async () => {
    // A refused handshake looks like a lost network from here: ask which it is.
    const answer = await fetch("/api/v1/session", { cache: "no-store" }).catch(() => null);
    if (!wanted) return;
    if (answer?.ok && (await answer.json()).account === null) showLogin("Your session has ended. Log in again.");
    else connect();
  }, wait);
}

function take(frame) {
  const handlers = { welcome, heartbeat, ticker, snapshot, signal, status, error: complain, going_away: leave };
  handlers[frame.type]?.(frame);
  if (Number.isInteger(frame.epoch) && Number.isInteger(frame.seq)) cursor = { epoch: frame.epoch, seq: frame.seq };
}

function welcome(frame) {
  attempt = 0;
  skew = Date.now() - Date.parse(frame.time);
  patience = frame.limits.heartbeat_seconds * 2500 + 1000;
  setAlarm("lost", "");
  drawAges();
}

function leave(frame) {
  lost.after = frame.reconnect_after * 1000;
}

function complain(frame) {
  console.warn("feed error", frame.code, frame.reason);
}

function heartbeat(frame) {
  skew = Date.now() - Date.parse(frame.time);
  for (const [key, feed] of Object.entries(frame.feeds)) {
    const market = marketOf(key);
    market.state = feed.state;
    if (feed.age !== null) market.received = Date.now() - skew - feed.age * 1000;
  }
  drawAges();
}

function ticker(frame) {
  for (const price of frame.data) drawPrice(price);
}

function snapshot(frame) {
  if (frame.channel === "ticker") return ticker(frame);
  if (frame.resumed === false) setAlarm("missed", "Signals between the last connection and this one may be missing below: the feed cannot be resumed from there.");
  for (const one of frame.data) drawSignal(one, false);
}

function signal(frame) {
  const now = Date.now() - skew;
  const one = frame.data;
  if (!one.late && !one.replay) {
    latencies.push(Math.max(0, now - Date.parse(one.received)));
    if (latencies.length > 200) latencies.shift();
    const middle = [...latencies].sort((a, b) => a - b)[latencies.length >> 1];
    put(find("tile-latency"), middle < 1000 ? `${Math.round(middle)} ms` : `${(middle / 1000).toFixed(1)} s`);
  }
  put(find("signal-place"), `#${frame.seq}`);
  drawSignal(one, true);
}

function status(frame) {
  parts = frame.parts;
  drawLink();
}

// -- prices -----------------------------------------------------------------------------------------------------------

function marketOf(key) {
  const known = markets.get(key);
  if (known) return known;
  const row = find("market-template").content.firstElementChild.cloneNode(true);
  const [venue, symbol] = key.split(":");
  row.querySelector(".symbol").textContent = symbol;
  row.querySelector(".venue").textContent = venue;
  const cell = (name) => row.querySelector(name);
  const market = {
    row, points: [], price: null, received: null, state: "waiting", drawn: 0,
    cells: { price: cell(".price span"), line: cell("polyline"), spread: cell("td.spread"), age: cell(".age") },
  };
  put(market.cells.price, "–");
  markets.set(key, market);
  const order = (one) => one.split(":").reverse().join(":");
  const after = [...markets.keys()].filter((one) => order(one) > order(key)).sort((a, b) => (order(a) < order(b) ? -1 : 1));
  find("market-rows").insertBefore(row, after.length ? markets.get(after[0]).row : null);
  applyFilter();
  return market;
}

function drawPrice(price) {
  const market = marketOf(price.market);
  const { cells } = market;
  if (price.received) market.received = Date.parse(price.received);
  market.state = "live";
  if (price.price !== null && price.price !== market.price) {
    const was = market.price === null ? null : Number(market.price);
    const now = Number(price.price);
    market.price = price.price;
    put(cells.price, money(price.price));
    if (was !== null) flash(cells.price, now > was ? "up" : "down");
  }
  if (price.price !== null) {
    market.points.push(Number(price.price));
    if (market.points.length > MOST_POINTS) market.points.shift();
    if (!document.hidden) drawTrend(market);
  }
  if (price.bid !== null && price.ask !== null) {
    const lines = [money(price.ask), money(price.bid)].map((text) => {
      const line = document.createElement("span");
      line.textContent = text;
      return line;
    });
    cells.spread.replaceChildren(...lines);
  }
}

function flash(element, direction) {
  element.classList.remove("up", "down");
  // Reading the layout restarts the animation.
  void element.offsetWidth;
  element.classList.add(direction);
}

function drawTrend(market) {
  const { points, row, cells } = market;
  if (points.length < 2) return;
  const low = Math.min(...points);
  const span = Math.max(...points) - low || 1;
  const step = 120 / (points.length - 1);
  cells.line.setAttribute("points", points.map((p, i) => `${(i * step).toFixed(1)},${(25 - ((p - low) / span) * 22).toFixed(1)}`).join(" "));
  const change = points[points.length - 1] - points[0];
  row.dataset.trend = change > 0 ? "up" : change < 0 ? "down" : "flat";
}

function drawAges() {
  const now = Date.now() - skew;
  const isUp = socket?.readyState === WebSocket.OPEN;
  let blind = 0;
  for (const market of markets.values()) {
    const state = isUp ? market.state : "lost";
    if (market.row.dataset.state !== state) market.row.dataset.state = state;
    const age = market.received === null ? null : Math.max(0, (now - market.received) / 1000);
    const text = age === null ? "no price yet" : span(age);
    put(market.cells.age, isUnheard(state) ? `${state} ${text}` : state === "quiet" ? `quiet ${text}` : state === "lost" ? `not connected` : text);
    if (isUnheard(state)) blind += 1;
  }
  find("no-markets").hidden = markets.size > 0;
  put(find("tile-markets"), markets.size ? String(markets.size) : "–");
  const feeds = find("tile-feeds");
  put(feeds, !markets.size ? "–" : !isUp ? "not connected" : blind ? `${blind} blind` : "all seen");
  feeds.classList.toggle("warn", blind > 0 || (!isUp && markets.size > 0));
  drawLink();
}

function span(seconds) {
  if (seconds < 1.5) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

// -- signals ----------------------------------------------------------------------------------------------------------

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

function drawSignal(one, isNew) {
  if (signals.has(one.id)) return;
  const row = find("signal-template").content.firstElementChild.cloneNode(true);
  const cell = (name) => row.querySelector(name);
  const at = new Date(one.at);
  row.dataset.severity = one.severity;
  row.dataset.direction = one.direction;
  row.dataset.words = `${one.title} ${one.market} ${one.kind}`.toLowerCase();
  cell(".mark").textContent = one.direction === "cleared" ? "✓" : { critical: "!!", warning: "!" }[one.severity] ?? "i";
  cell(".name").textContent = one.title;
  const tags = one.direction === "fired" ? [[one.severity, `severity ${one.severity}`]] : [];
  for (const name of ["late", "suspect", "gap", "replay"]) if (one[name]) tags.push([name, ""]);
  cell(".tags").replaceChildren(...tags.map(([text, kind]) => {
    const tag = document.createElement("span");
    tag.className = `tag ${kind}`;
    tag.textContent = text;
    return tag;
  }));
  const said = one.direction === "digest" ? `digest: ${one.evidence.count} kept back` : one.direction;
  cell(".facts").textContent = `${said} · ${one.market} · ${one.kind}${one.model ? ` · ${shortModel(one.model)}` : ""}`;
  cell(".facts").title = one.model ?? "";
  cell(".at-price").textContent = money(one.price);
  cell(".limit").textContent = limitOf(one.evidence ?? {});
  const time = cell("time");
  time.dateTime = one.at;
  const isToday = at.toDateString() === new Date().toDateString();
  time.textContent = isToday ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`;
  cell(".utc").textContent = at.getTimezoneOffset() ? `${one.at.slice(11, 19)} UTC` : "";
  const { evaluate, commit } = one.latency_us;
  cell(".latency").textContent = `${((evaluate + commit) / 1000).toFixed(1)} ms`;
  cell(".latency").title = `received to committed: evaluation ${(evaluate / 1000).toFixed(2)} ms, commit ${(commit / 1000).toFixed(2)} ms`;
  row.classList.toggle("new", isNew);
  signals.set(one.id, { at: at.getTime(), row });
  find("signal-rows").prepend(row);
  if (signals.size > MOST_SIGNALS) {
    const [id, oldest] = signals.entries().next().value;
    oldest.row.remove();
    signals.delete(id);
  }
  find("no-signals").hidden = true;
  countSignals();
  applyFilter();
}

// A forecast's version is a UUID: its first group tells versions apart, the whole stands in the title.
function shortModel(model) {
  const [name, version] = model.split("@");
  return version?.length > 12 ? `${name}@${version.slice(0, 8)}` : model;
}

// What the number read was compared with, in the terms of the condition; band edges with the decimals of the price.
function limitOf({ feature, threshold, value, band, price = "", direction }) {
  const number = Number(value);
  if (band) {
    const decimals = (price.split(".")[1] ?? "").length;
    return `band ${money(band.lower.toFixed(decimals))} – ${money(band.upper.toFixed(decimals))}`;
  }
  if (feature === "score") return `score ${number.toFixed(2)}, limit ${threshold}`;
  if (feature === "change") return `${number > 0 ? "+" : ""}${number.toFixed(2)} %, limit ${direction === "down" ? "−" : ""}${threshold} %`;
  return threshold === undefined ? "" : `level ${money(threshold)}`;
}

function countSignals() {
  const since = Date.now() - skew - HOUR;
  let count = 0;
  for (const one of signals.values()) if (one.at > since) count += 1;
  put(find("tile-signals"), count >= MOST_SIGNALS ? `${count}+` : String(count));
}

function applyFilter() {
  const text = find("filter").value.trim().toLowerCase();
  for (const [key, market] of markets) market.row.hidden = !key.toLowerCase().includes(text);
  for (const one of signals.values()) one.row.hidden = !one.row.dataset.words.includes(text);
}
find("filter").addEventListener("input", applyFilter);

// -- are we blind? ----------------------------------------------------------------------------------------------------

// Blind: no connection brings it. Stale: silent for longer than it ever is.
function isUnheard(state) {
  return state === "blind" || state === "stale";
}

function drawLink() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const troubled = Object.entries(parts).filter(([, trouble]) => trouble);
  const states = [...markets.values()].map((market) => market.state);
  const blind = states.filter(isUnheard).length;
  setAlarm("parts", troubled.map(([name, trouble]) => `${name}: ${trouble}`).join(" · "));
  if (troubled.length) {
    setLink("blind", "Connected, service in trouble");
  } else if (blind && blind === states.length) {
    setLink("blind", "Connected, but every feed is blind");
  } else if (blind) {
    setLink("blind", `Live, ${blind} of ${states.length} feeds blind`);
  } else if (states.every((state) => state === "waiting")) {
    setLink("quiet", "Connected, waiting for prices");
  } else if (!states.includes("live")) {
    setLink("quiet", "Connected, markets quiet");
  } else {
    setLink("live", "Live");
  }
}

function setLink(state, text) {
  find("link").dataset.state = state;
  put(find("link-text"), text);
}

function setAlarm(kind, text) {
  alarms[kind] = text;
  const alarm = find("alarm");
  const shown = alarms.lost || alarms.parts || alarms.missed;
  alarm.hidden = !shown;
  alarm.classList.toggle("warn", !alarms.lost);
  put(alarm, shown);
}

setInterval(() => {
  if (socket?.readyState === WebSocket.OPEN && Date.now() - lastFrame > patience) {
    // Half-open connections say nothing for minutes: heartbeats are what tells silence from deafness.
    const stale = socket;
    lost(1006);
    stale.close();
  }
  drawAges();
  countSignals();
}, 1000);

addEventListener("online", () => {
  if (wanted && !socket) connect();
});

begin();
