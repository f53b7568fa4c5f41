// Photographs: sent, drawn, listed.
import { Camera } from "./camera.js";
import * as results from "./results.js";

const at = (id) => document.getElementById(id);
// So many images are under way at once; the server refuses more than it can take.
const AT_ONCE = 2;
const TRIES = 20;

const settings = { confidence: 0.65, classes: new Set(), hide: false };
// Newest first; those that are not done have no record yet.
const shown = [];
const waiting = [];
let least = 0.2;
let active = 0;
let done = 0;

function say(text, wrong = false) {
  at("status").textContent = text;
  at("status").classList.toggle("wrong", wrong);
}

function headers() {
  const key = at("key").value;
  return key ? { "X-Api-Key": key } : {};
}

async function start() {
  const info = await (await fetch("/v1/info")).json();
  results.classes.names = info.classes.map(({ name }) => name);
  results.classes.colors = new Map(info.classes.map(({ name, color }) => [name, color]));
  settings.classes = new Set(results.classes.names);
  settings.confidence = info.min_confidence;
  least = info.least_confidence;
  at("confidence").min = least;
  at("confidence").value = info.min_confidence;
  for (const name of results.classes.names) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      settings.classes[box.checked ? "add" : "delete"](name);
      refresh();
    });
    const label = document.createElement("label");
    label.append(box, results.swatch(name), results.words(name));
    at("classes").append(label);
  }
  at("key-field").hidden = !info.api_key;
  at("cameras-link").hidden = info.streams === 0;
  refresh();
}

function refresh() {
  settings.confidence = Number(at("confidence").value);
  settings.hide = at("hide").checked;
  at("confidence-value").textContent = `${Math.round(100 * settings.confidence)} %`;
  shown.forEach((result) => result.draw());
  const faces = shown.flatMap((result) => result.faces());
  at("totals").textContent = `${shown.length} ${shown.length === 1 ? "image" : "images"}, ${results.counts(faces)}`;
  at("results-section").hidden = shown.length === 0;
}

function finished() {
  return shown.filter((result) => result.record);
}

function add(files) {
  const added = [...files].map((file) => new Result(file));
  if (added.length === 0) return;
  waiting.push(...added);
  shown.unshift(...added);
  at("results").prepend(...added.map((result) => result.card));
  refresh();
  next();
}

function next() {
  while (active < AT_ONCE && waiting.length > 0) {
    active += 1;
    detect(waiting.shift()).finally(() => {
      active -= 1;
      done += 1;
      next();
    });
  }
  const left = active + waiting.length;
  if (left > 0) say(`Looking at ${done + 1} of ${done + left} …`);
  else if (done > 0) {
    say(`Done: ${done} ${done === 1 ? "image" : "images"}, ${results.counts(shown.flatMap((r) => r.faces()))}.`);
    done = 0;
  }
}

async function post(file, query) {
  for (let tries = 1; ; tries += 1) {
    const answer = await fetch(`/v1/detect?${query}`, { method: "POST", body: file, headers: headers() });
    if (![429, 503].includes(answer.status) || tries === TRIES) return answer;
    const seconds = Number(answer.headers.get("Retry-After") ?? 1);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

async function detect(result) {
  const { file } = result;
  try {
    const answer = await post(file, `min_confidence=${least}`);
    const record = await answer.json();
    if (answer.status === 401) {
      at("key-field").hidden = false;
      at("key").focus();
    }
    if (!answer.ok) throw new Error(record.error);
    record.image = file.name || "pasted";
    result.record = record;
    try {
      result.picture = await createImageBitmap(file);
    } catch {
      // What the browser cannot show, the server can.
      const drawn = await post(file, "min_confidence=1&draw=true");
      if (drawn.ok) result.picture = await createImageBitmap(await drawn.blob());
    }
  } catch (error) {
    result.record = { image: file.name || "pasted", error: error.message };
  }
  result.show();
}

/** An image with its faces on the page. */
class Result {
  constructor(file) {
    this.file = file;
    this.record = undefined;
    this.card = document.createElement("article");
    this.card.className = "card result failed";
    this.card.append(Object.assign(document.createElement("h3"), { textContent: file.name }));
  }

  faces() {
    return results.chosen(this.record?.faces ?? [], settings);
  }

  /** The record with the faces that are shown. */
  visible() {
    return this.record.error ? this.record : { ...this.record, faces: this.faces() };
  }

  show() {
    const title = document.createElement("h3");
    title.textContent = this.record.image;
    const details = document.createElement("div");
    details.className = "details";
    details.append(title);
    this.card.replaceChildren();
    this.card.classList.toggle("failed", "error" in this.record);
    if (this.record.error) {
      const why = document.createElement("p");
      why.className = "wrong";
      why.textContent = this.record.error;
      details.append(why);
    } else {
      if (this.record.warning) {
        details.append(Object.assign(document.createElement("p"), { className: "hint", textContent: this.record.warning }));
      }
      this.canvas = document.createElement("canvas");
      this.canvas.className = "picture";
      this.canvas.setAttribute("role", "img");
      this.rows = document.createElement("div");
      this.rows.className = "scroll";
      this.rows.tabIndex = 0;
      this.rows.setAttribute("role", "region");
      this.rows.setAttribute("aria-label", `Faces in ${this.record.image}`);
      const actions = document.createElement("div");
      actions.className = "actions";
      const stem = this.record.image.replace(/\.[^.]*$/, "");
      const button = (text, name, action) => {
        const made = Object.assign(document.createElement("button"), { type: "button", className: "button small", textContent: text });
        made.setAttribute("aria-label", `${text} of ${this.record.image}`);
        made.addEventListener("click", () => action(name));
        actions.append(made);
      };
      button("Image", `${stem}-faces.png`, (name) => this.canvas.toBlob((blob) => results.save(name, blob)));
      button("JSON", `${stem}.json`, (name) => results.save(name, JSON.stringify(this.visible()) + "\n", "application/json"));
      button("CSV", `${stem}.csv`, (name) => results.save(name, results.csv([this.visible()]), "text/csv"));
      details.append(this.rows, actions);
      this.card.append(this.canvas);
    }
    this.card.append(details);
    refresh();
  }

  draw() {
    if (!this.canvas) return;
    const faces = this.faces();
    const { width, height } = this.record;
    this.canvas.width = this.picture?.width ?? width;
    this.canvas.height = this.picture?.height ?? height;
    const context = this.canvas.getContext("2d");
    if (this.picture) context.drawImage(this.picture, 0, 0);
    context.setTransform(this.canvas.width / width, 0, 0, this.canvas.height / height, 0, 0);
    // Nobody is to be recognised, whether the network is sure or not.
    if (settings.hide) results.hideFaces(context, this.record.faces, width, height);
    results.drawFaces(context, faces, width, height);
    this.canvas.setAttribute("aria-label", `${this.record.image}: ${results.counts(faces)}`);
    this.rows.replaceChildren(results.table(faces));
  }
}

for (const id of ["confidence", "hide"]) at(id).addEventListener("input", refresh);
at("settings").addEventListener("submit", (event) => event.preventDefault());
at("files").addEventListener("change", () => {
  add(at("files").files);
  at("files").value = "";
});
document.addEventListener("paste", (event) => add(event.clipboardData.files));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") add(event.dataTransfer.files);
  });
}
at("all-json").addEventListener("click", () => {
  const lines = finished().map((result) => JSON.stringify(result.visible()) + "\n").join("");
  results.save("faces.ndjson", lines, "application/x-ndjson");
});
at("all-csv").addEventListener("click", () => {
  results.save("faces.csv", results.csv(finished().map((result) => result.visible())), "text/csv");
});
at("clear").addEventListener("click", () => {
  shown.length = 0;
  waiting.length = 0;
  at("results").replaceChildren();
  say("");
  refresh();
  at("files").focus();
});
const camera = new Camera(settings, () => at("key").value);
at("camera-start").addEventListener("click", () => camera.start());
at("camera-stop").addEventListener("click", () => camera.stop());

start().catch(() => say("The server does not answer.", true));
