// The streams that the server watches: what they show, who is there, what happened.
import { classes, color, swatch, words } from "./results.js";

const at = (id) => document.getElementById(id);
// How often the figures, and the past, are asked for, in milliseconds.
const OFTEN = 1000;
const SELDOM = 10_000;
const EVENTS = 8;
const INTERVALS = 120;

const cards = new Map();

function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

async function ask(path) {
  const key = at("key").value;
  const answer = await fetch(path, { headers: key ? { "X-Api-Key": key } : {} });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.error), { status: answer.status });
  return body;
}

function clock(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
}

/** A stream on the page. */
class Card {
  constructor(name) {
    this.name = name;
    this.path = `/v1/streams/${encodeURIComponent(name)}`;
    const id = `camera-${cards.size}`;
    this.state = element("p", { className: "hint" });
    this.picture = element("canvas", { className: "picture", width: 640, height: 360 });
    this.picture.setAttribute("role", "img");
    this.picture.setAttribute("aria-label", `Picture of ${name}`);
    this.counts = element("div", { className: "tiles" });
    this.chart = element("div", { className: "chart" });
    this.events = element("ul", { className: "events" });
    const details = element("div", { className: "details" },
      element("h3", { textContent: name, id }), this.state, this.counts, this.chart,
      element("h4", { textContent: "Last events" }), this.events);
    this.card = element("section", { className: "card result" }, this.picture, details);
    this.card.setAttribute("aria-labelledby", id);
    at("cameras").append(this.card);
    this.connect();
  }

  connect() {
    const address = new URL(`${this.path}/frames`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    if (at("key").value) address.searchParams.set("key", at("key").value);
    const socket = new WebSocket(address);
    socket.addEventListener("message", async (event) => {
      const picture = await createImageBitmap(event.data);
      this.picture.width = picture.width;
      this.picture.height = picture.height;
      this.picture.getContext("2d").drawImage(picture, 0, 0);
      picture.close();
    });
    socket.addEventListener("close", () => setTimeout(() => this.connect(), OFTEN));
  }

  show(status) {
    const { condition, reason, rate, dropped, age_ms: age } = status;
    const parts = [condition];
    if (reason) parts.push(reason);
    if (condition === "live") parts.push(`${rate} pictures a second`);
    if (age !== undefined && condition === "live") parts.push(`${age} ms old, ${dropped} dropped`);
    this.state.textContent = parts.join(", ");
    this.state.classList.toggle("wrong", condition === "lost");
    this.counts.replaceChildren(...classes.names.map((name) =>
      element("div", { className: "tile" },
        element("strong", { textContent: status.present[name] ?? 0 }),
        element("span", {}, swatch(name), words(name)),
        element("span", { className: "hint", textContent: `${status.people[name] ?? 0} so far` }))));
  }

  async past() {
    const [events, counts] = await Promise.all([
      ask(`${this.path}/events?limit=${EVENTS}`),
      ask(`${this.path}/counts?limit=${INTERVALS * classes.names.length}`),
    ]);
    const lines = events.map(({ at: when, rule, message }) =>
      element("li", {}, when ? element("time", { dateTime: when, textContent: clock(when) }) : "", ` ${rule}: ${message}`));
    this.events.replaceChildren(...(lines.length ? lines : [element("li", { textContent: "none" })]));
    this.chart.replaceChildren(...draw(counts, this.name));
  }
}

/** People over time, as lines, and as a table for who cannot see them. */
function draw(counts, name) {
  const times = [...new Set(counts.map(({ begins }) => begins))].sort();
  if (times.length < 2) return [];
  const [width, height, left, below] = [480, 150, 30, 22];
  const most = Math.max(1, ...counts.map(({ mean }) => mean));
  const svg = (tag, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const [first, last] = [times[0], times.at(-1)].map((time) => new Date(time).getTime());
  const x = (time) => left + ((new Date(time) - first) / (last - first || 1)) * (width - left - 6);
  const y = (value) => height - below - (value / most) * (height - below - 8);
  const label = `People in ${name}, ${clock(times[0])} to ${clock(times.at(-1))}, at most ${most.toFixed(1)} on average`;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const value of [0, most]) {
    picture.append(svg("line", { x1: left, x2: width, y1: y(value), y2: y(value), class: "axis" }));
    picture.append(svg("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(value ? 1 : 0)));
  }
  const hour = (time) => new Date(time).toLocaleTimeString(undefined, { timeStyle: "short" });
  picture.append(svg("text", { x: left, y: height - 4 }, hour(times[0])));
  picture.append(svg("text", { x: width - 4, y: height - 4, "text-anchor": "end" }, hour(times.at(-1))));
  for (const label of classes.names) {
    const points = counts.filter((count) => count.label === label).reverse();
    const line = points.map(({ begins, mean }) => `${x(begins).toFixed(1)},${y(mean).toFixed(1)}`).join(" ");
    picture.append(svg("polyline", { points: line, fill: "none", stroke: color(label), "stroke-width": 2.5 }));
  }
  return [element("h4", { textContent: "People over time" }), picture];
}

async function refresh() {
  for (const status of await ask("/v1/streams")) {
    if (!cards.has(status.name)) cards.set(status.name, new Card(status.name));
    cards.get(status.name).show(status);
  }
  at("status").textContent = cards.size ? "" : "No camera is watched: start the server with --config streams.toml.";
}

/** Asks again and again; what goes wrong is said until it is over. */
async function repeat(action, pause) {
  try {
    await action();
  } catch (error) {
    if (error.status === 401) {
      at("key-form").hidden = false;
      return;
    }
    at("status").textContent = error.status ? error.message : "The server does not answer.";
  }
  setTimeout(() => repeat(action, pause), pause);
}

function start() {
  at("key-form").hidden = true;
  repeat(refresh, OFTEN).then(() =>
    repeat(() => Promise.all([...cards.values()].map((card) => card.past())), SELDOM));
}

const info = await (await fetch("/v1/info")).json();
classes.names = info.classes.map(({ name }) => name);
classes.colors = new Map(info.classes.map(({ name, color }) => [name, color]));
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
start();
